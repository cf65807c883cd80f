/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What files of ours need of QEMU's headers where a test plays the rest of QEMU
 */
#ifndef QEMU_TEST_H
#define QEMU_TEST_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <glib.h>

#define DIV_ROUND_UP(n, d) (((n) + (d) - 1) / (d))
#define QEMU_ALIGN_DOWN(n, m) ((n) / (m) * (m))
#define unlikely(x) __builtin_expect(!!(x), 0)
#define ctzl __builtin_ctzl
#define clzl __builtin_clzl
#define ctpopl __builtin_popcountl
#define smp_mb() __sync_synchronize()
#define qatomic_or(p, n) ((void)__sync_fetch_and_or(p, n))
#define qatomic_and(p, n) ((void)__sync_fetch_and_and(p, n))
#define qatomic_fetch_and(p, n) __sync_fetch_and_and(p, n)
#define qatomic_xchg(p, n) __atomic_exchange_n(p, n, __ATOMIC_SEQ_CST)

typedef uint64_t hwaddr;
typedef uint64_t ram_addr_t;

#endif
