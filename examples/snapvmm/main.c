// SPDX-License-Identifier: GPL-2.0-only
/*
 * snapvmm - a small virtual machine monitor that takes incremental snapshots
 *
 * One CPU, memory, up to four serial lines.  It boots Linux, and writes to disk what the guest
 * wrote since the snapshot before, as KVM_GET_DIRTY_LOG tells.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "boot.h"
#include "checked.h"
#include "commands.h"

#define MAX_FILES	1024

static const char usage[] =
"Usage: snapvmm --kernel FILE [--initrd FILE] [--append TEXT] [--memory MIB] [OPTION]...\n"
"       snapvmm --restore FILE [--restore FILE]... [OPTION]...\n"
"\n"
"Boots Linux in a virtual machine, or goes on from a snapshot.\n"
"\n"
"  --kernel FILE     a bzImage, such as /boot/vmlinuz\n"
"  --initrd FILE     its initrd\n"
"  --append TEXT     its command line\n"
"  --memory MIB      the guest's memory, 64 to 3072 (default 256)\n"
"  --restore FILE    a snapshot; the first file of its chain first\n"
"  --lazy            load its pages when they are needed; flat files only\n"
"  --serial WHERE    connect a serial line, the first one first: file:PATH is written,\n"
"                    unix:PATH is a socket, where one client at a time may connect\n"
"  --paused          wait for \"resume\"\n"
"\n"
"Commands are read from stdin: pause, resume, snapshot PATH, full PATH, diff PATH,\n"
"loaded, quit. The first snapshot holds all memory, each later one what the guest wrote\n"
"since the one before. \"full\" and \"diff\" write flat files: PATH.mem has each page at its\n"
"address, and PATH the rest. \"loaded\" says how many pages --lazy has loaded.\n";

struct options {
	const char *kernel;
	const char *initrd;
	const char *append;
	const char *memory;
	const char *restore[MAX_FILES];
	unsigned int nr_restore;
	const char *serial[MAX_LINES + 1];
	unsigned int nr_serial;
	bool lazy;
	bool paused;
};

static void add_name(const char **names, unsigned int *nr, unsigned int max, const char *option)
{
	if (*nr == max)
		errx(2, "--%s: at most %u times", option, max);
	names[(*nr)++] = optarg;
}

static void parse_option(struct options *options, int option, const char *word)
{
	switch (option) {
	case 'k':
		options->kernel = optarg;
		break;
	case 'i':
		options->initrd = optarg;
		break;
	case 'a':
		options->append = optarg;
		break;
	case 'm':
		options->memory = optarg;
		break;
	case 'r':
		add_name(options->restore, &options->nr_restore, MAX_FILES, "restore");
		break;
	case 's':
		add_name(options->serial, &options->nr_serial, MAX_LINES, "serial");
		break;
	case 'l':
		options->lazy = true;
		break;
	case 'p':
		options->paused = true;
		break;
	case 'h':
		fputs(usage, stdout);
		exit(0);
	case ':':
		errx(2, "%s: needs an argument: see --help", word);
	default:
		errx(2, "%s: not an option: see --help", word);
	}
}

static void parse_options(struct options *options, int argc, char **argv)
{
	static const struct option known[] = {
		{ "kernel", required_argument, NULL, 'k' },
		{ "initrd", required_argument, NULL, 'i' },
		{ "append", required_argument, NULL, 'a' },
		{ "memory", required_argument, NULL, 'm' },
		{ "restore", required_argument, NULL, 'r' },
		{ "serial", required_argument, NULL, 's' },
		{ "lazy", no_argument, NULL, 'l' },
		{ "paused", no_argument, NULL, 'p' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 }
	};
	int at = 1;
	int option;

	while ((option = getopt_long(argc, argv, "+:", known, NULL)) != -1) {
		parse_option(options, option, argv[at]);
		at = optind;
	}
	if (optind < argc)
		errx(2, "%s: not an option: see --help", argv[optind]);
	if (!options->kernel == !options->nr_restore)
		errx(2, "give either --kernel or --restore: see --help");
	if (options->nr_restore && (options->initrd || options->append || options->memory))
		errx(2, "--initrd, --append and --memory are in the snapshot: omit them");
	if (options->lazy && !options->nr_restore)
		errx(2, "--lazy: give --restore, too");
}

static uint64_t memory_bytes(const struct options *options)
{
	unsigned long mib = 256;
	char *end = NULL;

	if (options->nr_restore)
		return snapshot_memory(options->restore[0]);
	if (options->memory)
		mib = strtoul(options->memory, &end, 10);
	if ((end && (*end || end == options->memory)) || mib < MIN_MIB || mib > MAX_MIB)
		errx(2, "--memory %s: give %d to %d, in MiB", options->memory, MIN_MIB, MAX_MIB);
	return (uint64_t)mib << 20;
}

static void load(struct machine *machine, const struct options *options)
{
	unsigned int i;

	if (options->kernel) {
		boot_linux(&machine->vm, machine->cpu.fd, options->kernel, options->initrd,
			   options->append ? options->append : "");
		return;
	}
	if (options->lazy)
		lazy_create(&machine->lazy, &machine->vm);
	for (i = 0; i < options->nr_restore; i++)
		snapshot_read(&machine->chain, &machine->vm, options->restore[i],
			      options->lazy ? &machine->lazy : NULL);
	if (options->lazy)
		lazy_start(&machine->lazy);
	state_load(&machine->chain.state, &machine->vm, &machine->cpu, &machine->serial);
}

int main(int argc, char **argv)
{
	static struct machine machine;
	static struct options options;
	unsigned int i;

	parse_options(&options, argc, argv);
	signal(SIGPIPE, SIG_IGN);
	setlinebuf(stdout);
	vm_create(&machine.vm, memory_bytes(&options));
	serial_init(&machine.serial, &machine.vm);
	for (i = 0; i < options.nr_serial; i++)
		serial_add(&machine.serial, options.serial[i]);
	cpu_create(&machine.cpu, &machine.vm, &machine.serial);
	pages_create(&machine.chain.pages, &machine.vm);
	load(&machine, &options);

	machine.paused = options.paused;
	if (!machine.paused)
		cpu_resume(&machine.cpu);
	commands_run(&machine);
	return 0;
}
