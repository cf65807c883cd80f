/* SPDX-License-Identifier: GPL-2.0-only */
/* What the guest's CPU can do. */
#ifndef CPUID_H
#define CPUID_H

/* Ends the program on failure. */
void cpuid_set(int kvm, int cpu);

#endif /* CPUID_H */
