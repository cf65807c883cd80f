// SPDX-License-Identifier: GPL-2.0-only
/* What a crash of the machine must not undo. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "durable.h"

/* Without the last part of its path; "/" stays. */
static int open_directory(char *path)
{
	*(strrchr(path, '/') + 1) = '\0';
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

int durable_name(const char *path)
{
	/* Of a link, the file that it leads to. */
	char *real = realpath(path, NULL);
	int fd = real ? open_directory(real) : -1;
	int r = fd < 0 ? -1 : fsync(fd);

	/* Some file systems sync no directories. */
	if (r && fd >= 0 && errno == EINVAL)
		r = 0;
	if (fd >= 0)
		close(fd);
	free(real);
	return r;
}
