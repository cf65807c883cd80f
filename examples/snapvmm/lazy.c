// SPDX-License-Identifier: GPL-2.0-only
/* A guest's pages, read from flat files when they are needed, by a thread. */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "checked.h"
#include "lazy.h"

void lazy_create(struct lazy *lazy, const struct vm *vm)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register memory = {
		.range = { .start = (uintptr_t)vm->memory, .len = vm->bytes },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	lazy->vm = vm;
	lazy->file = checked_calloc(vm_pages(vm), sizeof(*lazy->file));
	/* For KVM's accesses, which are the kernel's, see vm.unprivileged_userfaultfd. */
	lazy->fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	if (lazy->fd < 0)
		err(1, "userfaultfd");
	checked_ioctl(lazy->fd, UFFDIO_API, (uintptr_t)&api, "UFFDIO_API");
	checked_ioctl(lazy->fd, UFFDIO_REGISTER, (uintptr_t)&memory, "UFFDIO_REGISTER");
}

void lazy_add(struct lazy *lazy, int fd, uint64_t at, uint64_t end)
{
	uint64_t page;

	for (page = at / PAGE_BYTES; page * PAGE_BYTES < end; page++)
		lazy->file[page] = fd;
}

/* Another thread may have needed the same page, and has it already. */
static void resolve(struct lazy *lazy, unsigned long request, void *arg)
{
	if (ioctl(lazy->fd, request, arg) && errno != EEXIST)
		err(1, "loading a page");
}

/* A fault is all that it tells of: nothing else was asked for. */
static void load(struct lazy *lazy, uint64_t page)
{
	uintptr_t address = (uintptr_t)lazy->vm->memory + page * PAGE_BYTES;
	uint8_t data[PAGE_BYTES];
	struct uffdio_copy copy = {
		.dst = address, .src = (uintptr_t)data, .len = PAGE_BYTES,
	};
	struct uffdio_zeropage zero = { .range = { .start = address, .len = PAGE_BYTES } };

	if (!lazy->file[page]) {
		resolve(lazy, UFFDIO_ZEROPAGE, &zero);
		return;
	}
	if (pread(lazy->file[page], data, sizeof(data), (off_t)(page * PAGE_BYTES)) != sizeof(data))
		err(1, "reading page %llu", (unsigned long long)page);
	resolve(lazy, UFFDIO_COPY, &copy);
	/* It is in memory for good: should another thread wait for it, too, it finds it there. */
	lazy->file[page] = 0;
	lazy->loaded++;
}

static void *run(void *opaque)
{
	struct lazy *lazy = opaque;
	struct uffd_msg message;
	uint64_t at;

	for (;;) {
		if (read(lazy->fd, &message, sizeof(message)) != sizeof(message)) {
			if (errno == EINTR || errno == EAGAIN)
				continue;
			err(1, "userfaultfd");
		}
		at = message.arg.pagefault.address - (uintptr_t)lazy->vm->memory;
		load(lazy, at / PAGE_BYTES);
	}
	return NULL;
}

void lazy_start(struct lazy *lazy)
{
	errno = pthread_create(&lazy->thread, NULL, run, lazy);
	if (errno)
		err(1, "the thread that loads");
}

uint64_t lazy_loaded(const struct lazy *lazy)
{
	return lazy->loaded;
}
