// SPDX-License-Identifier: GPL-2.0-only
/* The virtual machine: its memory and KVM's own devices. */
#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/mman.h>
#include <unistd.h>

#include "checked.h"
#include "vm.h"

/* Three pages that KVM needs on Intel CPUs, in the hole below 4 GiB. */
#define TSS_ADDRESS	0xfffbd000UL

static uint8_t *map_memory(uint64_t bytes)
{
	int fd = memfd_create("guest-memory", MFD_CLOEXEC);
	void *p;

	if (fd < 0 || ftruncate(fd, (off_t)bytes))
		err(1, "guest memory");
	p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (p == MAP_FAILED)
		err(1, "guest memory");
	close(fd);
	return p;
}

static void add_memory(const struct vm *vm)
{
	struct kvm_userspace_memory_region slot = {
		.flags = KVM_MEM_LOG_DIRTY_PAGES,
		.memory_size = vm->bytes,
		.userspace_addr = (uintptr_t)vm->memory,
	};

	KVM_PASS(vm->fd, KVM_SET_USER_MEMORY_REGION, &slot);
}

/* Two PICs, an IO-APIC, a local APIC for the CPU, and the timer of old PCs. */
static void add_devices(const struct vm *vm)
{
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };

	KVM_DO(vm->fd, KVM_SET_TSS_ADDR, TSS_ADDRESS);
	KVM_DO(vm->fd, KVM_CREATE_IRQCHIP, 0);
	KVM_PASS(vm->fd, KVM_CREATE_PIT2, &pit);
}

void vm_create(struct vm *vm, uint64_t bytes)
{
	vm->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->kvm < 0)
		err(1, "/dev/kvm");
	vm->fd = KVM_DO(vm->kvm, KVM_CREATE_VM, 0);
	vm->memory = map_memory(bytes);
	vm->bytes = bytes;
	add_devices(vm);
	add_memory(vm);
}

void vm_set_irq(const struct vm *vm, unsigned int irq, bool level)
{
	struct kvm_irq_level line = { .irq = irq, .level = level };

	KVM_PASS(vm->fd, KVM_IRQ_LINE, &line);
}

void vm_take_dirty_log(const struct vm *vm, uint64_t *bitmap)
{
	struct kvm_dirty_log log = { .dirty_bitmap = bitmap };

	KVM_PASS(vm->fd, KVM_GET_DIRTY_LOG, &log);
}
