// SPDX-License-Identifier: GPL-2.0-only
/* Where a sparse file has data, in whole pages. */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file_data.h"

enum fpr_status file_data_open(struct file_data *file, const char *name, int flags)
{
	struct stat st;

	*file = (struct file_data) { .name = name };
	file->fd = open(name, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (file->fd < 0 || fstat(file->fd, &st)) {
		warn("%s", name);
		return FPR_ERROR;
	}
	if (!S_ISREG(st.st_mode)) {
		warnx("%s: not a regular file: give a flat file with the guest's memory", name);
		return FPR_ERROR;
	}
	file->size = (uint64_t)st.st_size;
	return FPR_OK;
}

void file_data_close(struct file_data *file)
{
	if (file->fd >= 0)
		close(file->fd);
	file->fd = -1;
}

/* Finds out about the bytes from @at on. */
static int find(struct file_data *file, uint64_t at)
{
	const uint64_t page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	off_t data = lseek(file->fd, (off_t)at, SEEK_DATA), hole;

	file->from = at;
	file->is_data = false;
	if (data < 0) {
		/* None behind it. */
		file->to = UINT64_MAX / page_size * page_size;
		return errno == ENXIO ? 0 : -1;
	}
	file->to = (uint64_t)data / page_size * page_size;
	if (file->to > at)
		return 0;
	hole = lseek(file->fd, data, SEEK_HOLE);
	if (hole < 0)
		return -1;
	file->is_data = true;
	file->to = ((uint64_t)hole + page_size - 1) / page_size * page_size;
	return 0;
}

enum fpr_status file_data_look(struct file_data *file, uint64_t at, bool *is_data,
			       uint64_t *until)
{
	if ((at < file->from || at >= file->to) && find(file, at)) {
		warn("%s: cannot tell where it has data", file->name);
		return FPR_ERROR;
	}
	*is_data = file->is_data;
	*until = file->to;
	return FPR_OK;
}
