/* SPDX-License-Identifier: GPL-2.0-only */
/* The test harness, with a time limit for machines that are emulated and busy. */
#ifndef FPR_HARNESS_H
#define FPR_HARNESS_H

#include "kvm_test_harness.h"

/*
 * Seconds that a test may take.  With KASAN, in an emulator that has half a
 * processor, one takes a hundred times as long as on hardware.
 */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	300

#endif /* FPR_HARNESS_H */
