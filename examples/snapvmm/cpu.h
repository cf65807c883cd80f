/* SPDX-License-Identifier: GPL-2.0-only */
/* The CPU, which runs in a thread of its own. */
#ifndef CPU_H
#define CPU_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdbool.h>

#include "serial.h"
#include "vm.h"

/**
 * struct cpu - the CPU
 * @fd:		what KVM_CREATE_VCPU returned
 * @run:	what KVM shares with us
 * @serial:	the only devices that are not KVM's own
 * @thread:	where it runs
 * @lock:	for the rest
 * @changed:	of @stop or @stopped
 * @stop:	it is to stand still
 * @stopped:	it does, and its state is whole
 */
struct cpu {
	int fd;
	struct kvm_run *run;
	struct serial *serial;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool stop;
	bool stopped;
};

/* Makes the CPU; it stands still until cpu_resume(). */
void cpu_create(struct cpu *cpu, const struct vm *vm, struct serial *serial);

/* Returns once the CPU stands still, and everything it did is in its state. */
void cpu_pause(struct cpu *cpu);
void cpu_resume(struct cpu *cpu);

#endif /* CPU_H */
