// SPDX-License-Identifier: GPL-2.0-only
/* The verbs that need no file of their own, and the table of all. */
#include <err.h>
#include <errno.h>
#include <json-c/json.h>
#include <linux/kvm_fpr.h>
#include <stdbool.h>
#include <stdio.h>

#include "host/bitmap_verb.h"
#include "cli.h"
#include "host/filter.h"
#include "host/filter_verb.h"
#include "status.h"
#include "guest/free_source.h"
#include "host/kvm_debugfs.h"
#include "host/list_verb.h"
#include "guest/report_verb.h"
#include "result.h"
#include "host/set_bitmap_verb.h"
#include "host/stats_verb.h"
#include "verbs.h"
#include "host/vm.h"

static const struct {
	uint32_t flag;
	const char *name;
} flag_names[] = {
	{ KVM_FPR_FLAG_CONFIRM, "confirm" },
	{ KVM_FPR_FLAG_FOREIGN, "foreign" },
	{ KVM_FPR_FLAG_CANDIDATES, "candidates" },
};

#define NR_FLAG_NAMES	(sizeof(flag_names) / sizeof(flag_names[0]))

static void print_flags(uint32_t flags)
{
	const char *separator = " (";
	size_t i;

	printf("free page filter: %s", flags ? "yes" : "no");
	for (i = 0; i < NR_FLAG_NAMES; i++) {
		if (!(flags & flag_names[i].flag))
			continue;
		printf("%s%s", separator, flag_names[i].name);
		separator = ", ";
		flags &= ~flag_names[i].flag;
	}
	/* What only a newer fprctl has a name for. */
	if (flags) {
		printf("%s0x%x", separator, flags);
		separator = ", ";
	}
	printf("%s\n", separator[0] == ',' ? ")" : "");
}

static void print_flags_json(uint32_t flags)
{
	struct json_object *object = json_object_new_object();
	struct json_object *names = json_object_new_array();
	size_t i;

	for (i = 0; i < NR_FLAG_NAMES; i++) {
		if (flags & flag_names[i].flag)
			json_object_array_add(names,
				json_object_new_string(flag_names[i].name));
	}
	json_object_object_add(object, "supported",
			       json_object_new_boolean(flags != 0));
	json_object_object_add(object, "flags", names);
	json_object_object_add(object, "mask", json_object_new_uint64(flags));
	result_print_json(stdout, object);
}

static enum fpr_status run_probe(const struct cli_args *args)
{
	uint32_t flags;

	if (filter_probe(&flags)) {
		if (errno == ENOENT)
			warnx("/dev/kvm does not exist: load kvm-intel or kvm-amd");
		else if (errno == EACCES)
			warnx("not permitted to open /dev/kvm: run as root or in its group");
		else
			warn("/dev/kvm");
		return FPR_ERROR;
	}
	if (args->option[OPT_JSON])
		print_flags_json(flags);
	else
		print_flags(flags);
	return flags ? FPR_OK : FPR_NO_FILTER;
}

static enum fpr_status run_arm(const struct cli_args *args)
{
	struct result results[] = {
		{ "epoch", "epoch", NULL, 0 },
		{ "arm_us", "arm took", "us", 0 },
		{ 0 }
	};
	struct filter filter;
	enum fpr_status status;

	status = filter_open(&filter, args->operand[0]);
	if (!status)
		status = filter_arm(&filter, &results[0].value,
				    &results[1].value);
	if (!status)
		result_print(stdout, results, args->option[OPT_JSON]);
	return status;
}

static enum fpr_status run_disarm(const struct cli_args *args)
{
	struct result results[] = {
		{ "disarm_us", "disarm took", "us", 0 },
		{ 0 }
	};
	struct filter filter;
	enum fpr_status status;
	uint64_t epoch;

	status = cli_epoch(args, &epoch);
	if (!status)
		status = filter_open(&filter, args->operand[0]);
	if (!status)
		status = filter_disarm(&filter, epoch, &results[0].value);
	if (!status)
		result_print(stdout, results, args->option[OPT_JSON]);
	return status;
}

#define JSON_OPTION	{ OPT_JSON, "json", NULL, "print one JSON object" }

#define BITMAP_FORMATS							\
"FILE, or - for stdin, is in one of two formats:\n"			\
"  raw      64-bit little-endian words, bit n for page n, as the kernel's\n" \
"           bitmaps\n"							\
"  report   what fprctl report writes; it names its epoch and has checksums\n" \
"Without --from a file that begins as a report does is one, or is refused.\n"

#define FROM_OPTION							\
	{ OPT_FROM, "from", "raw|report", "the format that is read (default: looked at)" }

static const struct cli_option probe_options[] = { JSON_OPTION, { 0 } };

static const struct cli_option list_options[] = { JSON_OPTION, { 0 } };

static const struct cli_option stats_options[] = { JSON_OPTION, { 0 } };

static const struct cli_option arm_options[] = { JSON_OPTION, { 0 } };

static const struct cli_option set_bitmap_options[] = {
	{ OPT_EPOCH, "epoch", "N", "the bitmap was taken in epoch N; without it, arm first" },
	FROM_OPTION,
	{ OPT_GPA, "gpa", "A", "guest physical address of the first page (default 0)" },
	{ OPT_SIZE, "size", "S", "bytes of guest memory, to cut the bitmap's last word" },
	{ OPT_CONFIRMED, "confirmed", "FILE", "write the bitmap of confirmed pages, - for stdout" },
	{ OPT_EXEC, "exec", "COMMAND", "take the bitmap from the output of a shell command" },
	JSON_OPTION,
	{ 0 }
};

static const struct cli_option disarm_options[] = {
	{ OPT_EPOCH, "epoch", "N", "end it only if it is epoch N" },
	JSON_OPTION,
	{ 0 }
};

static const struct cli_option filter_options[] = {
	{ OPT_SOURCE, "source", "guest|pagemap|FILE", "what tells the pages (default guest)" },
	{ OPT_GUEST, "guest", "ENDPOINT", "where the guest answers" },
	{ OPT_TRUST_ENDPOINT, "trust-endpoint", NULL, "also where it looks like another VM's" },
	{ OPT_WATCH, "watch", "SECONDS", "ask again every SECONDS, until a signal comes" },
	{ OPT_TIMEOUT, "timeout", "SECONDS", "how long to wait for the report (default 10)" },
	{ OPT_MAX_MEMORY, "max-memory", "S", "refuse reports about more memory (default 16T)" },
	{ OPT_EPOCH, "epoch", "N", "FILE was made in epoch N" },
	FROM_OPTION,
	{ OPT_MAP, "map", "GPA:HVA:SIZE", "for pagemap: where memory is; several with commas" },
	{ OPT_ZERO_DESTINATION, "zero-destination", NULL, "for pagemap: what is not sent reads as zero" },
	JSON_OPTION,
	{ 0 }
};

#define RANGES_OPTION	{ OPT_RANGES, "ranges", NULL, "list the ranges of pages, too" }

static const struct cli_option bitmap_info_options[] = {
	FROM_OPTION,
	RANGES_OPTION,
	JSON_OPTION,
	{ 0 }
};

static const struct cli_option bitmap_convert_options[] = {
	FROM_OPTION,
	{ OPT_TO, "to", "raw|report", "the format to write (default: the other one)" },
	{ OPT_EPOCH, "epoch", "N", "the epoch that a report is for (default: unchanged)" },
	JSON_OPTION,
	{ 0 }
};

static const struct cli_option bitmap_diff_options[] = {
	FROM_OPTION,
	RANGES_OPTION,
	JSON_OPTION,
	{ 0 }
};

static const struct cli_option report_options[] = {
	{ OPT_SERVE, "serve", "ENDPOINT", "answer requests for as long as it runs" },
	{ OPT_SOURCE, "source", "device|kpageflags", "where it reads (default device)" },
	{ OPT_DEVICE, "device", "PATH", "the device (default " FREE_SOURCE_DEVICE ")" },
	{ OPT_EPOCH, "epoch", "N", "the epoch that it is for, which is its tag (default 0)" },
	JSON_OPTION,
	{ 0 }
};

const struct cli_verb fprctl_verbs[] = {
	{
		.name = "probe",
		.summary = "Tell whether this kernel has the free page filter",
		.options = probe_options,
		.run = run_probe,
		.examples =
"  $ fprctl probe\n"
"  free page filter: yes (confirm, foreign, candidates)\n",
	},
	{
		.name = "list",
		.summary = "List the VMs of this machine",
		.options = list_options,
		.run = list_run,
		.details =
"PID and FD name a VM to the other verbs. MEMORY is the resident memory of the\n"
"process, LOGGING whether any of the VM's memslots logs dirty pages, EPOCH the\n"
"current epoch, which is 0 in JSON where there is none, FILTERED how many pages\n"
"were dropped from the dirty log since the VM began. These three are read in\n"
KVM_DEBUGFS ". What is not known is shown as -, or null in JSON.\n"
"\n"
"A process that inherited or was given a VM is listed like the one that made it,\n"
"but without these three.\n"
"\n"
"Looking at other users' processes needs the right to ptrace them. Processes\n"
"that can not be looked at are counted, on stderr or as hidden_processes.\n",
		.examples =
"  fprctl list\n"
"  fprctl list --json | jq '.vms[] | select(.logging).pid'\n",
	},
	{
		.name = "stats",
		.operands = "VM",
		.min_operands = 1,
		.max_operands = 1,
		.summary = "Print what KVM tells of a VM and its filter",
		.options = stats_options,
		.run = stats_run,
		.details =
"It is read in " KVM_DEBUGFS ", which takes root. Now:\n"
"  current epoch  the one whose reports are taken, 0 if there is none\n"
"  logging        memslots that log dirty pages\n"
"  mapped         pages of 4 KiB that KVM has mapped for the guest\n"
"Since the VM's beginning:\n"
"  epochs begun   how often the VM was armed\n"
"  reported       pages that reports named, each once a report\n"
"  touched        of those, pages written since ARM or no candidates\n"
"  filtered       pages that were dropped from the dirty log\n"
"  confirmed      pages whose content was disposable\n"
"\n"
"VM is PID or PID:FD, of the process that made the VM; see fprctl list.\n",
		.examples =
"  fprctl stats 4321 --json\n",
	},
	{
		.name = "arm",
		.operands = "VM",
		.min_operands = 1,
		.max_operands = 1,
		.summary = "Begin an epoch of a VM and print its number",
		.options = arm_options,
		.run = run_arm,
		.details =
"Only a report taken after this returned may be handed over with the epoch's\n"
"number. An earlier epoch of the VM ends.\n"
"\n"
VM_HELP,
		.examples =
"  fprctl arm 4321            the VM of process 4321\n"
"  fprctl arm 4321:12         its descriptor 12\n"
"  fprctl arm fd:3 --json     an inherited descriptor\n",
	},
	{
		.name = "set-bitmap",
		.operands = "VM [FILE|-]",
		.min_operands = 1,
		.max_operands = 2,
		.summary = "Drop from the dirty log what a bitmap says is free",
		.options = set_bitmap_options,
		.run = set_bitmap_verb_run,
		.details =
"FILE, or what COMMAND prints, is in one of two formats:\n"
"  raw      a bitmap in 64-bit little-endian words: bit n says that page n from\n"
"           --gpa on was free at some instant after the epoch began\n"
"  report   what fprctl report writes: it has checksums, may name its epoch, and\n"
"           begins at the guest's first page, so it is refused with --gpa\n"
"Without --from what begins as a report does is one, or is refused.\n"
"Numbers of bytes may be written as 0x100000, 4096K, 1M, 2G or 1T.\n"
"\n"
"What is older than its epoch loses pages: it names pages that the guest has\n"
"written since, unseen. So without --epoch, fprctl arms first and then reads:\n"
"  --exec COMMAND  is started by /bin/sh only after that. If it fails, nothing\n"
"                  is handed over.\n"
"  a FIFO          is opened only after that: 'producer >fifo' waits for it,\n"
"                  unless something else has the FIFO open already.\n"
"  -, a pipe, socket or device   is refused if something can be read from it\n"
"                  before. That is all that can be seen from here: a producer\n"
"                  that was started earlier must itself wait with its bitmap.\n"
"  a regular file  is always refused.\n"
"With --epoch any file is read, and it is for the caller to know that the\n"
"bitmap was taken in that epoch; a report that names another one is refused.\n"
"\n"
"All is read to its end before any of it is handed over. Confirmed are\n"
"the pages whose content is disposable; --confirmed replaces FILE when all went\n"
"well, and with - the result goes to stderr. It is raw, from --gpa on. Where\n"
"fprctl is stopped half way, the pages done by then stay dropped, which is safe,\n"
"and FILE is left alone.\n"
"\n"
VM_HELP,
		.examples =
"  fprctl set-bitmap 4321 --exec 'ssh guest free-bitmap' --json\n"
"  E=$(fprctl arm 4321 --json | jq .epoch)\n"
"  ssh guest free-bitmap >bitmap\n"
"  fprctl set-bitmap 4321 --epoch $E --confirmed done bitmap\n",
	},
	{
		.name = "disarm",
		.operands = "VM",
		.min_operands = 1,
		.max_operands = 1,
		.summary = "End a VM's epoch: its reports are refused from now on",
		.options = disarm_options,
		.run = run_disarm,
		.details = VM_HELP,
		.examples =
"  fprctl disarm 4321\n"
"  fprctl disarm 4321 --epoch 12\n",
	},
	{
		.name = "filter",
		.operands = "VM",
		.min_operands = 1,
		.max_operands = 1,
		.summary = "Drop a guest's free pages from its dirty log",
		.options = filter_options,
		.run = filter_verb_run,
		.details =
"Begins an epoch, takes a report, and hands it over when all of it has come and\n"
"is right. Else the epoch ends, and nothing is dropped. The source is one of\n"
"  guest    the guest is asked, where fprctl report --serve answers\n"
"  pagemap  pages that the host never populated; the guest is not asked. Where\n"
"           that is safe is in the NOTES of the manual page\n"
"  FILE     a bitmap in either format of fprctl bitmap; - is stdin\n"
"\n"
"ENDPOINT is one of\n"
"  unix:PATH        a socket, such as that of QEMU's chardev of a virtserialport\n"
"  vsock:CID:PORT   the guest's CID, and where fprctl report listens there\n"
"  the path of a character device, such as a pty of QEMU\n"
"The answer of another VM's guest would lose pages. So a socket is refused\n"
"that was made by a process with another VM, and a CID that another VM's process\n"
"has on its command line, or that is not the one which this VM's process names.\n"
"Not known is this of a character device, of a socket that libvirt or another\n"
"program made for QEMU, of a VMM that names no guest-cid, and of processes that\n"
"cannot be looked at: there it is for the caller to know.\n"
"\n"
"--watch prints one line, or object, for each round. A round that fails because\n"
"the guest is away, late or wrong, or another ended the epoch, is one line on\n"
"stderr. It ends, and its epoch with it, on SIGINT and SIGTERM with status 0,\n"
"and with an error where no later round can do better: the VM is gone, the guest\n"
"refuses, its pages have another size, or its memory exceeds --max-memory. That\n"
"the VM is gone is noticed at once, unless it is an inherited descriptor.\n"
"\n"
"A guest may send what it likes. It costs at most the time of --timeout, and one\n"
"bit a page of --max-memory.\n"
"\n"
"FILE must be younger than its epoch. A report that was asked for tells which\n"
"that is (fprctl report --epoch); for anything else --epoch does. Without both,\n"
"FILE must be a FIFO or a pipe, and is read after arming, as by set-bitmap.\n"
"\n"
VM_HELP,
		.notes =
"pagemap names the pages that the process of the VM has neither in memory nor in\n"
"swap, as /proc/PID/pagemap tells after the epoch began. Such a page reads as\n"
"zero. Nothing is lost only if whoever gets no copy of it has a page of zeros in\n"
"its place. That holds\n"
"  in the first pass of a migration to a destination whose memory is fresh;\n"
"  for the first snapshot of a VM, into files that read as zero where nothing was\n"
"    written.\n"
"It does not hold later: a page that was sent, and that the host has taken back\n"
"since (a balloon, free page reporting, virtio-mem, a reset), reads as zero here and\n"
"as what was sent there, and a guest may rely on the zeros. Nor does it hold\n"
"where the destination has an older copy of the memory. So pagemap is used only\n"
"with --zero-destination, and not with --watch.\n"
"\n"
"It does not see pages that the guest has freed, for the host keeps them populated.\n"
"\n"
"KVM does not tell where a VM's memory is; --map does, in ranges of guest-physical\n"
"address, address in the VM's process, and bytes. A wrong --map loses pages.\n"
"QEMU tells both: 'info mtree -f' in its monitor the guest-physical ranges of RAM,\n"
"'gpa2hva ADDRESS' where such a range begins in QEMU. Pages below 1 MiB are never\n"
"named. Ranges are refused that are not private anonymous memory, as\n"
"with memory-backend-file and memory-backend-memfd, or that a userfaultfd serves,\n"
"for there a page that is not populated may hold something; and so is a process\n"
"that is not known as the VM's own (" KVM_DEBUGFS ").\n",
		.examples =
"  fprctl filter 4321 --guest unix:/run/vm/report.sock --json\n"
"  fprctl filter 4321 --guest vsock:3:999 --watch 5\n"
"  fprctl filter 4321 --source report\n"
"  fprctl filter 4321 --source pagemap --zero-destination \\\n"
"  --map 1M:0x7f1200100000:1023M\n",
	},
	{
		.name = "report",
		.operands = "[TO]",
		.min_operands = 0,
		.max_operands = 1,
		.summary = "In a guest: tell its host which pages are free",
		.options = report_options,
		.run = report_run,
		.details =
"TO is one of\n"
"  FILE             replaced when the report is complete\n"
"  -                stdout\n"
"  vsock:CID:PORT   connected to; CID may be \"host\"\n"
"  a port of virtio-serial, such as /dev/virtio-ports/NAME\n"
"ENDPOINT is such a port, or vsock:any:PORT, where connections are waited for.\n"
"A port may be closed and opened by its host at any time, as in a migration.\n"
"\n"
"The report is a response in the format that is described in\n"
"Documentation/virt/kvm/free-page-report.rst. Each page that it names was free\n"
"at some instant after fprctl began, or read the request; none is held.\n"
"\n"
"device is the module fpr_guest, which reads the kernel's lists under their\n"
"locks. It may also be any file with a bitmap in whole 64-bit words.\n"
"kpageflags needs no module and is slow; it misses free pages, and it can name\n"
"pages that were never free, which are lost then. It has to be asked for.\n",
		.examples =
"  fprctl report --serve /dev/virtio-ports/fpr.report\n"
"  fprctl report vsock:host:999 --epoch 12\n",
	},
	{
		.name = "bitmap info",
		.operands = "FILE",
		.min_operands = 1,
		.max_operands = 1,
		.summary = "Say what a file with a bitmap of free pages names",
		.options = bitmap_info_options,
		.run = bitmap_info_run,
		.details =
BITMAP_FORMATS
"\n"
"In JSON a range is the number of its first page and how many pages it has.\n",
		.examples =
"  fprctl bitmap info report\n"
"  fprctl bitmap info confirmed --ranges --json\n",
	},
	{
		.name = "bitmap convert",
		.operands = "FILE TO",
		.min_operands = 2,
		.max_operands = 2,
		.summary = "Write a bitmap in the other format",
		.options = bitmap_convert_options,
		.run = bitmap_convert_run,
		.details =
BITMAP_FORMATS
"\n"
"TO is a file, made or replaced when all went well; a FIFO or a device, which\n"
"gets bytes as they come; or - for stdout, and the result goes to stderr then.\n",
		.examples =
"  fprctl bitmap convert report bitmap\n"
"  fprctl bitmap convert --to report --epoch 12 bitmap report\n",
	},
	{
		.name = "bitmap diff",
		.operands = "FILE FILE",
		.min_operands = 2,
		.max_operands = 2,
		.summary = "Say in which pages two bitmaps differ",
		.options = bitmap_diff_options,
		.run = bitmap_diff_run,
		.details =
"Pages behind the end of a bitmap are not named by it. The exit status tells\n"
"errors alone, not whether the bitmaps differ.\n"
"\n"
BITMAP_FORMATS,
		.examples =
"  fprctl bitmap diff report confirmed\n"
"  fprctl bitmap diff monday tuesday --ranges\n",
	},
	{ 0 }
};

const char fprctl_about[] =
"Drops pages that the guest reported free from the dirty log of KVM.\n";

const char fprctl_examples[] =
"  fprctl probe\n"
"  fprctl list\n"
"  fprctl filter 4321 --guest unix:/run/vm/report.sock\n"
"  fprctl stats 4321\n";
