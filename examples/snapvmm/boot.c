// SPDX-License-Identifier: GPL-2.0-only
/*
 * Linux's 64-bit boot protocol
 *
 * The kernel is entered in long mode, with its own memory mapped one to one, and with
 * the address of struct boot_params in RSI.
 */
#include <asm/bootparam.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boot.h"
#include "checked.h"
#include "mptable.h"

/* These lie below 640 KiB, where the kernel uses only what it is told of. */
#define GDT		0x1000UL
#define ZERO_PAGE	0x7000UL
#define PML4		0x9000UL
#define PDPT		(PML4 + PAGE_BYTES)
#define PAGE_DIRS	(PDPT + PAGE_BYTES)
#define COMMAND_LINE	0x20000UL
#define LOW_END		MPTABLE
#define HIGH_START	0x100000UL

#define NR_PAGE_DIRS	4UL		/* a GiB each */
#define PTE_TABLE	0x03UL		/* present, writable */
#define PTE_LARGE	0x83UL		/* and 2 MiB */

/* In the file; the header itself is struct setup_header. */
#define SECTOR		512UL
#define HEADER_AT	0x1f1UL
#define MAGIC		0x53726448U	/* "HdrS" */
#define ENTRY_64	0x200UL

#define BOOT_CS		0x10
#define BOOT_DS		0x18

#define CR0_PE		(1UL << 0)
#define CR0_PG		(1UL << 31)
#define CR4_PAE		(1UL << 5)
#define EFER_LME	(1UL << 8)
#define EFER_LMA	(1UL << 10)

struct file {
	const char *name;
	const uint8_t *data;
	size_t size;
};

static struct file map_file(const char *name)
{
	struct file file = { .name = name };
	struct stat st;
	void *data;
	int fd;

	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st))
		err(1, "%s", name);
	file.size = (size_t)st.st_size;
	data = mmap(NULL, file.size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED)
		err(1, "%s", name);
	close(fd);
	file.data = data;
	return file;
}

static void unmap_file(const struct file *file)
{
	munmap((void *)(uintptr_t)file->data, file->size);
}

static struct setup_header read_header(const struct file *kernel)
{
	struct setup_header header = { 0 };

	if (kernel->size > HEADER_AT + sizeof(header))
		memcpy(&header, kernel->data + HEADER_AT, sizeof(header));
	if (header.header != MAGIC || header.version < 0x20c ||
	    !(header.xloadflags & XLF_KERNEL_64))
		errx(1, "%s: not a 64-bit Linux kernel: give a bzImage, such as /boot/vmlinuz",
		     kernel->name);
	return header;
}

static void load_kernel(const struct vm *vm, const struct file *kernel,
			const struct setup_header *header)
{
	size_t at = (header->setup_sects + 1) * SECTOR;

	if (at >= kernel->size)
		errx(1, "%s: ends before its kernel begins", kernel->name);
	/* What it unpacks itself to has to fit, too. */
	if (header->pref_address + header->init_size > vm->bytes)
		errx(1, "%s: needs %llu MiB of memory: give more with --memory", kernel->name,
		     (unsigned long long)(header->pref_address + header->init_size) >> 20);
	memcpy(vm->memory + header->pref_address, kernel->data + at, kernel->size - at);
}

/* At the end of memory; where it was put goes into the header. */
static void load_initrd(const struct vm *vm, const char *name, struct setup_header *header)
{
	struct file initrd = map_file(name);
	uint64_t end = vm->bytes;
	uint64_t at;

	if (end > header->initrd_addr_max)
		end = header->initrd_addr_max;
	at = (end - initrd.size) & ~(PAGE_BYTES - 1);
	if (initrd.size > end || at < header->pref_address + header->init_size)
		errx(1, "%s: does not fit behind the kernel: give more with --memory", name);
	memcpy(vm->memory + at, initrd.data, initrd.size);
	header->ramdisk_image = (uint32_t)at;
	header->ramdisk_size = (uint32_t)initrd.size;
	unmap_file(&initrd);
}

static void write_zero_page(const struct vm *vm, struct setup_header *header,
			    const char *command_line)
{
	struct boot_params *params = (struct boot_params *)(vm->memory + ZERO_PAGE);

	if (strlen(command_line) > header->cmdline_size)
		errx(2, "--append: the kernel takes %u characters", header->cmdline_size);
	memcpy(vm->memory + COMMAND_LINE, command_line, strlen(command_line) + 1);
	header->type_of_loader = 0xff;
	header->cmd_line_ptr = COMMAND_LINE;
	params->hdr = *header;
	params->e820_entries = 3;
	params->e820_table[0] = (struct boot_e820_entry) { 0, LOW_END, 1 };
	params->e820_table[1] = (struct boot_e820_entry) { LOW_END, HIGH_START - LOW_END, 2 };
	params->e820_table[2] = (struct boot_e820_entry) { HIGH_START, vm->bytes - HIGH_START, 1 };
}

static void write_tables(const struct vm *vm)
{
	uint64_t *gdt = (uint64_t *)(vm->memory + GDT);
	uint64_t *pml4 = (uint64_t *)(vm->memory + PML4);
	uint64_t *pdpt = (uint64_t *)(vm->memory + PDPT);
	uint64_t *dirs = (uint64_t *)(vm->memory + PAGE_DIRS);
	uint64_t i;

	gdt[BOOT_CS / 8] = 0x00af9b000000ffff;
	gdt[BOOT_DS / 8] = 0x00cf93000000ffff;
	pml4[0] = PDPT | PTE_TABLE;
	for (i = 0; i < NR_PAGE_DIRS; i++)
		pdpt[i] = (PAGE_DIRS + i * PAGE_BYTES) | PTE_TABLE;
	for (i = 0; i < NR_PAGE_DIRS * 512; i++)
		dirs[i] = i << 21 | PTE_LARGE;
}

static void set_segments(struct kvm_sregs *sregs)
{
	struct kvm_segment code = {
		.selector = BOOT_CS, .limit = 0xffffffff, .g = 1,
		.type = 11, .present = 1, .s = 1, .l = 1,
	};
	struct kvm_segment data = {
		.selector = BOOT_DS, .limit = 0xffffffff, .g = 1,
		.type = 3, .present = 1, .s = 1, .db = 1,
	};

	sregs->cs = code;
	sregs->ds = data;
	sregs->es = data;
	sregs->fs = data;
	sregs->gs = data;
	sregs->ss = data;
	sregs->gdt.base = GDT;
	sregs->gdt.limit = BOOT_DS + 7;
}

static void set_registers(int cpu, uint64_t entry)
{
	struct kvm_regs regs = { .rip = entry, .rsi = ZERO_PAGE, .rflags = 2 };
	struct kvm_sregs sregs;

	KVM_PASS(cpu, KVM_GET_SREGS, &sregs);
	set_segments(&sregs);
	sregs.cr3 = PML4;
	sregs.cr4 = CR4_PAE;
	sregs.cr0 |= CR0_PE | CR0_PG;
	sregs.efer = EFER_LME | EFER_LMA;
	KVM_PASS(cpu, KVM_SET_SREGS, &sregs);
	KVM_PASS(cpu, KVM_SET_REGS, &regs);
}

void boot_linux(const struct vm *vm, int cpu, const char *kernel, const char *initrd,
		const char *command_line)
{
	struct file image = map_file(kernel);
	struct setup_header header = read_header(&image);

	load_kernel(vm, &image, &header);
	if (initrd)
		load_initrd(vm, initrd, &header);
	write_zero_page(vm, &header, command_line);
	mptable_write(vm);
	write_tables(vm);
	set_registers(cpu, header.pref_address + ENTRY_64);
	unmap_file(&image);
}
