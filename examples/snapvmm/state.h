/* SPDX-License-Identifier: GPL-2.0-only */
/* All of a machine but its memory. */
#ifndef STATE_H
#define STATE_H

#include <linux/kvm.h>

#include "cpu.h"
#include "serial.h"
#include "uart.h"
#include "vm.h"

#define MAX_MSRS	512

/**
 * struct machine_state - as a snapshot holds it
 *
 * It can be loaded where KVM and the CPU are what they were when it was saved.
 */
struct machine_state {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_fpu fpu;
	struct kvm_debugregs debugregs;
	struct kvm_lapic_state lapic;
	struct kvm_vcpu_events events;
	struct kvm_mp_state mp_state;
	struct kvm_irqchip irqchips[3];
	struct kvm_pit_state2 pit;
	struct kvm_clock_data clock;
	uint32_t nr_uarts;
	struct uart uarts[MAX_LINES];
	uint32_t nr_msrs;
	struct kvm_msr_entry msrs[MAX_MSRS];
};

/* The CPU stands still; both end the program on failure. */
void state_save(struct machine_state *state, const struct vm *vm, const struct cpu *cpu,
		const struct serial *serial);
void state_load(const struct machine_state *state, const struct vm *vm, const struct cpu *cpu,
		struct serial *serial);

#endif /* STATE_H */
