// SPDX-License-Identifier: GPL-2.0-only
/*
 * Prints how many thousand times a second this machine's TSC ticks, which is what an
 * emulated CPU shows as its own.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <x86intrin.h>

#define NR_MEASUREMENTS	5
#define MEASUREMENT_NS	100000000
/* The best of so many: between the others something came in between. */
#define NR_LOOKS	200

struct instant {
	uint64_t tsc;
	int64_t ns;
};

static struct instant look(void)
{
	struct instant best = { 0 };
	uint64_t shortest = UINT64_MAX, before, after;
	struct timespec time;

	for (int i = 0; i < NR_LOOKS; i++) {
		before = __rdtsc();
		clock_gettime(CLOCK_MONOTONIC, &time);
		after = __rdtsc();
		if (after - before >= shortest)
			continue;
		shortest = after - before;
		best.tsc = before + shortest / 2;
		best.ns = time.tv_sec * 1000000000LL + time.tv_nsec;
	}
	return best;
}

static uint64_t measure_khz(void)
{
	struct instant begin = look(), end;
	struct timespec time = { .tv_nsec = MEASUREMENT_NS };

	nanosleep(&time, NULL);
	end = look();
	return (end.tsc - begin.tsc) * 1000000 / (uint64_t)(end.ns - begin.ns);
}

static int compare(const void *a, const void *b)
{
	const uint64_t *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

int main(void)
{
	uint64_t khz[NR_MEASUREMENTS];

	for (int i = 0; i < NR_MEASUREMENTS; i++)
		khz[i] = measure_khz();
	qsort(khz, NR_MEASUREMENTS, sizeof(khz[0]), compare);
	printf("%ju\n", (uintmax_t)khz[NR_MEASUREMENTS / 2]);
	return 0;
}
