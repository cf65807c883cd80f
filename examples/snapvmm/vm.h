/* SPDX-License-Identifier: GPL-2.0-only */
/* The virtual machine: its memory and KVM's own devices. */
#ifndef VM_H
#define VM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_BYTES	4096UL

/* All memory is one memslot, below the hole for devices that ends at 4 GiB. */
#define MIN_MIB		64
#define MAX_MIB		3072

/**
 * struct vm - a virtual machine
 * @kvm:	/dev/kvm
 * @fd:		what KVM_CREATE_VM returned
 * @memory:	the guest's memory, from address 0 on
 * @bytes:	its size
 */
struct vm {
	int kvm;
	int fd;
	uint8_t *memory;
	uint64_t bytes;
};

static inline size_t vm_pages(const struct vm *vm)
{
	return vm->bytes / PAGE_BYTES;
}

/* Makes a machine that logs which pages its guest writes; ends the program on failure. */
void vm_create(struct vm *vm, uint64_t bytes);

void vm_set_irq(const struct vm *vm, unsigned int irq, bool level);

/* Which pages were written since this was asked last, one bit a page. */
void vm_take_dirty_log(const struct vm *vm, uint64_t *bitmap);

#endif /* VM_H */
