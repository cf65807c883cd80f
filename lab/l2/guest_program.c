// SPDX-License-Identifier: GPL-2.0-only
/*
 * A program of l2/programs as a child: it is asked over one pipe and answers over another, in lines,
 * and counts its work in a page that both have mapped.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest_program.h"

#define PYTHON "/usr/bin/python3"
#define LOOPS "/loops"		/* as l2/programs/program.py has it */
#define STEADY "steady\n"
#define ANSWER_MAX_LEN 256

static struct {
	const char *name;
	FILE *questions;
	FILE *answers;
	volatile uint64_t *loops;
} program;

static bool map_loops(void)
{
	int fd = open(LOOPS, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	void *map;

	if (fd < 0 || ftruncate(fd, GUEST_PAGE_SIZE))
		return false;
	map = mmap(NULL, GUEST_PAGE_SIZE, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (map == MAP_FAILED)
		return false;
	program.loops = map;
	return true;
}

/* What it says on stderr comes to the console. */
static bool spawn_program(const char *name, size_t mib, int in, int out)
{
	static char *const environment[] = { "PATH=/usr/bin", "TMPDIR=/tmp", NULL };
	char path[64], memory[32];
	/* Nothing of an environment or of the machine's own: that starts sooner. */
	char *const argv[] = { PYTHON, "-E", "-S", path, memory, NULL };
	posix_spawn_file_actions_t actions;
	pid_t pid;

	snprintf(path, sizeof(path), "/programs/%s.py", name);
	snprintf(memory, sizeof(memory), "%zu", mib);
	errno = posix_spawn_file_actions_init(&actions);
	if (!errno)
		errno = posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
	if (!errno)
		errno = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	if (!errno)
		errno = posix_spawn(&pid, PYTHON, &actions, NULL, argv, environment);
	return !errno;
}

static bool read_answer(char *answer)
{
	errno = 0;
	if (fgets(answer, ANSWER_MAX_LEN, program.answers))
		return true;
	/* It has ended. */
	if (!errno)
		errno = EPIPE;
	return false;
}

bool program_start(const char *name, size_t mib)
{
	char answer[ANSWER_MAX_LEN];
	int in[2], out[2];

	if (!map_loops() || (mkdir("/tmp", 0700) && errno != EEXIST) ||
	    pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || !spawn_program(name, mib, in[0], out[1]))
		return false;
	close(in[0]);
	close(out[1]);
	program.name = name;
	program.questions = fdopen(in[1], "w");
	program.answers = fdopen(out[0], "r");
	if (!program.questions || !program.answers || !read_answer(answer))
		return false;
	errno = EPROTO;
	return !strcmp(answer, STEADY);
}

bool program_verify(struct verify_result *result)
{
	uint64_t pages, wrong;
	char answer[ANSWER_MAX_LEN];

	if (!program.name)
		return true;
	if (fputs("verify\n", program.questions) < 0 || fflush(program.questions) || !read_answer(answer))
		return false;
	if (sscanf(answer, "verified %" SCNu64 " %" SCNu64, &pages, &wrong) != 2) {
		errno = EPROTO;
		return false;
	}
	if (wrong && !result->buffer)
		result->buffer = program.name;
	result->pages += pages;
	result->wrong += wrong;
	return true;
}

uint64_t program_loops(void)
{
	return program.loops ? *program.loops : 0;
}
