/* SPDX-License-Identifier: GPL-2.0-only */
/* Random numbers of the free page filter's tests, for the guest as well (xorshift64). */
#ifndef FPR_RANDOM_H
#define FPR_RANDOM_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

static inline uint64_t random_u64(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static inline unsigned int below(uint64_t *state, unsigned int limit)
{
	return (random_u64(state) >> 32) % limit;
}

static inline bool one_in(uint64_t *state, unsigned int n)
{
	return !below(state, n);
}

/* Small numbers often, large ones seldom: [0, 2^max_log). */
static inline unsigned int skewed(uint64_t *state, unsigned int max_log)
{
	return below(state, 1u << below(state, max_log + 1));
}

static inline uint64_t new_random_state(uint64_t seed)
{
	uint64_t state = (seed + 1) * 0x9e3779b97f4a7c15ull;

	return state ? state : 1;
}

static inline uint64_t draw_seed(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (t.tv_sec * 1000000000ull + t.tv_nsec) % 1000000007;
}

#endif /* FPR_RANDOM_H */
