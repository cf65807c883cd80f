/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the person at the other end of stdin wants, one line each, and the answer, a line too:
 *
 * pause		paused
 * resume		resumed
 * snapshot PATH	snapshot PAGES BYTES, of the chain's next file
 * full PATH		the same of a flat snapshot of all pages, with which a chain begins
 * diff PATH		the same of a flat one, the next of its chain
 * loaded		loaded PAGES: so many were read from files after the start
 * quit			nothing
 *
 * or "error WHY".  The end of stdin is "quit".
 */
#ifndef COMMANDS_H
#define COMMANDS_H

#include "cpu.h"
#include "snapshot.h"
#include "vm.h"

/* A machine, and whether somebody paused it. */
struct machine {
	struct vm vm;
	struct serial serial;
	struct cpu cpu;
	struct chain chain;
	struct lazy lazy;
	bool paused;
};

/* Obeys, and keeps the serial lines going, until it is told to quit. */
void commands_run(struct machine *machine);

#endif /* COMMANDS_H */
