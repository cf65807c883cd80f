// SPDX-License-Identifier: GPL-2.0-only
/* Where a flat file of a guest's memory has data. */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "flat_data.h"

void flat_data_open(struct flat_data *data, uint64_t bytes)
{
	struct stat st;

	data->fd = open(data->path, O_RDONLY | O_CLOEXEC);
	if (data->fd < 0 || fstat(data->fd, &st))
		err(1, "%s", data->path);
	if ((uint64_t)st.st_size != bytes)
		errx(1, "%s: has %llu bytes, the guest %llu: not of this snapshot, or not whole",
		     data->path, (unsigned long long)st.st_size, (unsigned long long)bytes);
}

bool flat_data_next(struct flat_data *data)
{
	off_t at = lseek(data->fd, (off_t)data->end, SEEK_DATA);
	off_t end = at < 0 ? at : lseek(data->fd, at, SEEK_HOLE);

	if (at < 0 && errno == ENXIO)
		return false;
	if (end < 0)
		err(1, "%s", data->path);
	data->at = (uint64_t)at;
	data->end = (uint64_t)end;
	return true;
}
