// SPDX-License-Identifier: GPL-2.0-only
/*
 * Owns a real VM for vm_test: one memslot from address 0 on with every page in
 * the dirty log, and one vCPU that can store a byte to a page.
 *
 * Usage: vm_owner PAGES, a multiple of 64.  It prints the VM's descriptor, then
 * reads commands, one a line, and answers each with one line:
 *
 * get		the dirty log, in hexadecimal
 * take		the same, and take it out of the log
 * write PAGE	the guest writes to that page: "ok"
 * allow	enable KVM_FPR_CAP_FOREIGN: "ok"
 * dup		duplicate the VM's descriptor: the new one
 * new		create another VM: its descriptor
 * memory	where its memory is, in hexadecimal
 */
#include <err.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/kvm_fpr.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE		4096UL
#define CODE		0x100	/* in page 0; a store goes to a page's first byte */

/* mov %al, (0) and hlt, in real mode. */
static const unsigned char code[] = { 0xa2, 0x00, 0x00, 0xf4 };

struct owner {
	int kvm;
	int vm;
	int vcpu;
	unsigned long pages;
	unsigned char *memory;
	struct kvm_run *run;
};

static int checked_ioctl(int fd, unsigned long request, void *arg, const char *name)
{
	int r = ioctl(fd, request, arg);

	if (r < 0)
		err(1, "%s", name);
	return r;
}

static void *map(size_t size, int flags, int fd)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (p == MAP_FAILED)
		err(1, "mmap");
	return p;
}

static int create_vm(const struct owner *owner)
{
	return checked_ioctl(owner->kvm, KVM_CREATE_VM, NULL, "KVM_CREATE_VM");
}

/* Every page is in the dirty log from the start, and GET does not clear it. */
static void add_memory(struct owner *owner)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
		.args = { KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE |
			  KVM_DIRTY_LOG_INITIALLY_SET },
	};
	struct kvm_userspace_memory_region slot = {
		.flags = KVM_MEM_LOG_DIRTY_PAGES,
		.memory_size = owner->pages * PAGE,
	};

	owner->memory = map(owner->pages * PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	memcpy(owner->memory + CODE, code, sizeof(code));
	slot.userspace_addr = (uintptr_t)owner->memory;
	checked_ioctl(owner->vm, KVM_ENABLE_CAP, &cap, "KVM_ENABLE_CAP");
	checked_ioctl(owner->vm, KVM_SET_USER_MEMORY_REGION, &slot,
		      "KVM_SET_USER_MEMORY_REGION");
}

static void add_vcpu(struct owner *owner)
{
	int size = checked_ioctl(owner->kvm, KVM_GET_VCPU_MMAP_SIZE, NULL,
				 "KVM_GET_VCPU_MMAP_SIZE");

	owner->vcpu = checked_ioctl(owner->vm, KVM_CREATE_VCPU, NULL,
				    "KVM_CREATE_VCPU");
	owner->run = map((size_t)size, MAP_SHARED, owner->vcpu);
}

static void guest_write(struct owner *owner, unsigned long page)
{
	struct kvm_regs regs = { .rip = CODE, .rflags = 2, .rax = 0x5a };
	struct kvm_sregs sregs;

	checked_ioctl(owner->vcpu, KVM_GET_SREGS, &sregs, "KVM_GET_SREGS");
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	sregs.ds.base = page * PAGE;
	sregs.ds.selector = (__u16)(page * PAGE >> 4);
	checked_ioctl(owner->vcpu, KVM_SET_SREGS, &sregs, "KVM_SET_SREGS");
	checked_ioctl(owner->vcpu, KVM_SET_REGS, &regs, "KVM_SET_REGS");
	checked_ioctl(owner->vcpu, KVM_RUN, NULL, "KVM_RUN");
	if (owner->run->exit_reason != KVM_EXIT_HLT)
		errx(1, "guest exited with %u", owner->run->exit_reason);
	if (owner->memory[page * PAGE] != 0x5a)
		errx(1, "guest wrote nothing");
	owner->memory[page * PAGE] = 0;
	puts("ok");
}

static void clear_dirty_log(const struct owner *owner, void *bitmap)
{
	struct kvm_clear_dirty_log log = {
		.num_pages = (__u32)owner->pages,
		.dirty_bitmap = bitmap,
	};

	checked_ioctl(owner->vm, KVM_CLEAR_DIRTY_LOG, &log, "KVM_CLEAR_DIRTY_LOG");
}

static void print_dirty_log(const struct owner *owner, bool take)
{
	size_t i, len = owner->pages / 8;
	unsigned char *bitmap = calloc(1, len);
	struct kvm_dirty_log log = { .dirty_bitmap = bitmap };

	if (!bitmap)
		err(1, "dirty log");
	checked_ioctl(owner->vm, KVM_GET_DIRTY_LOG, &log, "KVM_GET_DIRTY_LOG");
	if (take)
		clear_dirty_log(owner, bitmap);
	for (i = 0; i < len; i++)
		printf("%02x", bitmap[i]);
	putchar('\n');
	free(bitmap);
}

static void allow_foreign(const struct owner *owner)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_FREE_PAGE_FILTER,
		.args = { KVM_FPR_CAP_FOREIGN },
	};

	checked_ioctl(owner->vm, KVM_ENABLE_CAP, &cap, "KVM_ENABLE_CAP");
	puts("ok");
}

static void obey(struct owner *owner, const char *line)
{
	unsigned long page;

	if (!strcmp(line, "get\n"))
		print_dirty_log(owner, false);
	else if (!strcmp(line, "take\n"))
		print_dirty_log(owner, true);
	else if (sscanf(line, "write %lu", &page) == 1 && page < owner->pages)
		guest_write(owner, page);
	else if (!strcmp(line, "allow\n"))
		allow_foreign(owner);
	else if (!strcmp(line, "dup\n"))
		printf("%d\n", dup(owner->vm));
	else if (!strcmp(line, "memory\n"))
		printf("%lx\n", (unsigned long)owner->memory);
	else if (!strcmp(line, "new\n"))
		printf("%d\n", create_vm(owner));
	else
		errx(1, "not a command: %s", line);
}

int main(int argc, char **argv)
{
	struct owner owner = { 0 };
	char line[80];

	owner.pages = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;
	if (!owner.pages || owner.pages % 64)
		errx(2, "usage: vm_owner PAGES, a multiple of 64");

	owner.kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (owner.kvm < 0)
		err(1, "/dev/kvm");
	owner.vm = create_vm(&owner);
	add_memory(&owner);
	add_vcpu(&owner);

	setlinebuf(stdout);
	printf("%d\n", owner.vm);
	while (fgets(line, sizeof(line), stdin))
		obey(&owner, line);
	return 0;
}
