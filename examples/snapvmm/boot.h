/* SPDX-License-Identifier: GPL-2.0-only */
/* Linux's 64-bit boot protocol. */
#ifndef BOOT_H
#define BOOT_H

#include "vm.h"

/*
 * Puts a bzImage, an initrd and a command line into the memory of @vm, and the CPU @cpu at
 * the kernel's entry; ends the program on failure.
 */
void boot_linux(const struct vm *vm, int cpu, const char *kernel, const char *initrd,
		const char *command_line);

#endif /* BOOT_H */
