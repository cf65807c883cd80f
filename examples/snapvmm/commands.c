// SPDX-License-Identifier: GPL-2.0-only
/* Commands on stdin, and the loop that waits for them. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "checked.h"
#include "commands.h"

#define MAX_LINE	4096

struct input {
	char line[MAX_LINE];
	size_t len;
};

/* The guest stands still while its pages are written, or they would not be of one moment. */
static void take_snapshot(struct machine *machine, enum snapshot_kind kind, const char *path)
{
	struct chain *chain = &machine->chain;
	struct snapshot_size size;

	if (kind == SNAPSHOT_DIFF && !chain->last) {
		printf("error %s: it would follow no snapshot: take a full one first\n", path);
		return;
	}
	cpu_pause(&machine->cpu);
	state_save(&chain->state, &machine->vm, &machine->cpu, &machine->serial);
	if (snapshot_write(chain, &machine->vm, kind, path, &size))
		printf("error %s: %s\n", path, strerror(errno));
	else
		printf("snapshot %llu %llu\n", (unsigned long long)size.pages,
		       (unsigned long long)size.bytes);
	if (!machine->paused)
		cpu_resume(&machine->cpu);
}

static void set_paused(struct machine *machine, bool paused)
{
	machine->paused = paused;
	if (paused)
		cpu_pause(&machine->cpu);
	else
		cpu_resume(&machine->cpu);
	puts(paused ? "paused" : "resumed");
}

/* Whether it is a command that takes a snapshot. */
static bool obey_snapshot(struct machine *machine, const char *line)
{
	static const struct {
		const char *word;
		enum snapshot_kind kind;
	} commands[] = {
		{ "snapshot ", SNAPSHOT_NEXT },
		{ "full ", SNAPSHOT_FULL },
		{ "diff ", SNAPSHOT_DIFF },
		{ NULL }
	}, *command;
	size_t len;

	for (command = commands; command->word; command++) {
		len = strlen(command->word);
		if (!strncmp(line, command->word, len) && line[len]) {
			take_snapshot(machine, command->kind, line + len);
			return true;
		}
	}
	return false;
}

/* False if it is the end. */
static bool obey(struct machine *machine, const char *line)
{
	if (!strcmp(line, "quit"))
		return false;
	if (!strcmp(line, "pause"))
		set_paused(machine, true);
	else if (!strcmp(line, "resume"))
		set_paused(machine, false);
	else if (!strcmp(line, "loaded"))
		printf("loaded %llu\n", (unsigned long long)lazy_loaded(&machine->lazy));
	else if (!obey_snapshot(machine, line))
		printf("error %s: not a command: see --help\n", line);
	return true;
}

static bool obey_all(struct machine *machine, struct input *input)
{
	char *end;

	while ((end = memchr(input->line, '\n', input->len))) {
		*end++ = '\0';
		if (!obey(machine, input->line))
			return false;
		input->len -= (size_t)(end - input->line);
		memmove(input->line, end, input->len);
	}
	if (input->len == sizeof(input->line))
		errx(1, "stdin: a line has at most %d characters", MAX_LINE);
	return true;
}

static bool read_commands(struct machine *machine, struct input *input)
{
	ssize_t n = read(STDIN_FILENO, input->line + input->len, sizeof(input->line) - input->len);

	if (n <= 0)
		return n < 0 && errno == EINTR;
	input->len += (size_t)n;
	return obey_all(machine, input);
}

void commands_run(struct machine *machine)
{
	struct pollfd pfds[2 + MAX_LINES];
	struct input input = { .len = 0 };
	unsigned int nr;
	bool more = true;

	while (more) {
		pfds[0] = (struct pollfd) { .fd = STDIN_FILENO, .events = POLLIN };
		nr = 1 + serial_poll(&machine->serial, pfds + 1);
		if (poll(pfds, nr, -1) < 0) {
			if (errno != EINTR)
				err(1, "poll");
			continue;
		}
		serial_polled(&machine->serial, pfds + 1);
		if (pfds[0].revents)
			more = read_commands(machine, &input);
	}
}
