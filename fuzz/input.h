/* SPDX-License-Identifier: GPL-2.0-only */
/* Takes a fuzzer's input apart, and stops it at what must not happen. */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* In every build: this is what the fuzzer looks for. */
#define MUST(condition)							\
	do {								\
		if (!(condition)) {					\
			fprintf(stderr, "%s:%d: %s does not hold: %s\n",	\
				__FILE__, __LINE__, __func__, #condition);	\
			abort();					\
		}							\
	} while (0)

/* What is left of an input. */
struct input {
	const uint8_t *data;
	size_t len;
};

/* input_number - take a number of so many bytes; what is missing is 0 */
static inline uint64_t input_number(struct input *input, unsigned int bytes)
{
	uint64_t value = 0;
	unsigned int i;

	for (i = 0; i < bytes && input->len; i++) {
		value |= (uint64_t)*input->data++ << (8 * i);
		input->len--;
	}
	return value;
}

/* input_copy - take up to so many bytes into memory of just that length, to be freed */
static inline uint8_t *input_copy(struct input *input, size_t *len)
{
	uint8_t *copy;
	size_t i;

	if (*len > input->len)
		*len = input->len;
	copy = malloc(*len ? *len : 1);
	MUST(copy);
	for (i = 0; i < *len; i++)
		copy[i] = input->data[i];
	input->data += *len;
	input->len -= *len;
	return copy;
}

/* input_cut - some length from 1 to @left, from the state of a generator */
static inline size_t input_cut(uint32_t *state, size_t left)
{
	size_t max;

	/* Marsaglia's xorshift; a state of 0 stays and means: all at once. */
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	if (!*state)
		return left;
	/* Small and large pieces, in turn. */
	max = *state & 1 ? 8 : left;
	if (max > left)
		max = left;
	return 1 + (*state >> 1) % max;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
