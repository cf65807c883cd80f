/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef MPTABLE_H
#define MPTABLE_H

#include "vm.h"

/* Where it is, in the last KiB below 640 KiB, which kernels look through. */
#define MPTABLE		0x9fc00UL

/*
 * Writes the table that tells a kernel without ACPI of its interrupt controllers.  One that
 * finds none takes the CPU's own timer for absent, and lives on 250 interrupts a second of
 * the timer of old PCs.
 */
void mptable_write(const struct vm *vm);

#endif /* MPTABLE_H */
