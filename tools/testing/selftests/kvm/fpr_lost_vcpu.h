/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Emulated CPUs have been seen to put the host's registers in the place of the
 * guest's at a VM exit; such a vCPU spins or shuts down.  That is no matter of
 * the dirty log, and tests tell it apart.
 */
#ifndef FPR_LOST_VCPU_H
#define FPR_LOST_VCPU_H

#include <stdbool.h>
#include <stdint.h>

#include "kvm_util.h"

/* The guest runs the test program's own text. */
extern const char __executable_start[], etext[];

static inline bool is_in_program(uint64_t rip)
{
	return rip >= (uintptr_t)__executable_start && rip < (uintptr_t)etext;
}

#endif /* FPR_LOST_VCPU_H */
