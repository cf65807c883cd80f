/* SPDX-License-Identifier: GPL-2.0-only */
/* Where a flat file of a guest's memory has data. */
#ifndef FLAT_DATA_H
#define FLAT_DATA_H

#include <stdbool.h>
#include <stdint.h>

/**
 * struct flat_data - a file, and one part of it after the other
 * @path:	its name
 * @fd:		the file
 * @at:		where the part that was found last begins
 * @end:	where it ends
 *
 * What is between the parts is a hole.
 */
struct flat_data {
	const char *path;
	int fd;
	uint64_t at;
	uint64_t end;
};

/* Opens the file at @data->path, which must have @bytes; ends the program on failure. */
void flat_data_open(struct flat_data *data, uint64_t bytes);

/* Finds the next part, false if there is none; ends the program on failure. */
bool flat_data_next(struct flat_data *data);

#endif /* FLAT_DATA_H */
