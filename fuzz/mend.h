/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Makes mutated reports consistent: a fuzzer that changes a byte would else never get
 * past a checksum.
 */
#ifndef FUZZ_MEND_H
#define FUZZ_MEND_H

#include <stddef.h>
#include <stdint.h>

/* What is made right. */
enum mend {
	MEND_TAG	= 1 << 0,
	MEND_CHECKSUMS	= 1 << 1,
	MEND_COUNTS	= 1 << 2,	/* of free pages and of chunks */
	MEND_PLACES	= 1 << 3,	/* first pages become multiples of a chunk's */
};

/* mend_response - change the records of the responses in @data, in place */
void mend_response(uint8_t *data, size_t len, uint64_t tag, unsigned int mend);

/* mend_requests - the same for the checksums of requests, wherever one seems to be */
void mend_requests(uint8_t *data, size_t len);

#endif
