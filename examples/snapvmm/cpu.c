// SPDX-License-Identifier: GPL-2.0-only
/* The CPU, which runs in a thread of its own. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>

#include "checked.h"
#include "cpu.h"
#include "cpuid.h"

/* Ends a KVM_RUN. */
#define KICK	SIGUSR1

static void on_kick(int number)
{
	(void)number;
}

/* Reads where there is no device give all ones, as on a bus that nobody drives. */
static void handle_io(struct cpu *cpu)
{
	struct kvm_run *run = cpu->run;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	bool is_write = run->io.direction == KVM_EXIT_IO_OUT;
	uint32_t i;

	for (i = 0; i < run->io.count * run->io.size; i++) {
		uint16_t port = (uint16_t)(run->io.port + i % run->io.size);

		if (!serial_access(cpu->serial, port, is_write, &data[i]) && !is_write)
			data[i] = 0xff;
	}
}

static void handle_mmio(struct kvm_run *run)
{
	unsigned int i;

	for (i = 0; !run->mmio.is_write && i < run->mmio.len; i++)
		run->mmio.data[i] = 0xff;
}

static void handle_exit(struct cpu *cpu)
{
	switch (cpu->run->exit_reason) {
	case KVM_EXIT_IO:
		handle_io(cpu);
		break;
	case KVM_EXIT_MMIO:
		handle_mmio(cpu->run);
		break;
	case KVM_EXIT_SHUTDOWN:
		/* A triple fault is how a guest without ACPI reboots. */
		warnx("the guest has reset its machine");
		exit(0);
	default:
		errx(1, "the guest did what is not emulated: KVM_RUN says %u",
		     cpu->run->exit_reason);
	}
}

/* Where KVM_RUN was interrupted nothing is half done: what the guest reads was read. */
static void stand_still(struct cpu *cpu)
{
	pthread_mutex_lock(&cpu->lock);
	while (cpu->stop) {
		cpu->stopped = true;
		pthread_cond_broadcast(&cpu->changed);
		pthread_cond_wait(&cpu->changed, &cpu->lock);
	}
	cpu->stopped = false;
	cpu->run->immediate_exit = 0;
	pthread_mutex_unlock(&cpu->lock);
}

static void *run_cpu(void *opaque)
{
	struct cpu *cpu = opaque;

	for (stand_still(cpu);;) {
		if (!ioctl(cpu->fd, KVM_RUN, 0))
			handle_exit(cpu);
		else if (errno == EINTR)
			stand_still(cpu);
		else if (errno != EAGAIN)
			err(1, "KVM_RUN");
	}
	return NULL;
}

void cpu_create(struct cpu *cpu, const struct vm *vm, struct serial *serial)
{
	struct sigaction action = { .sa_handler = on_kick };
	int size = KVM_DO(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);

	*cpu = (struct cpu) { .serial = serial, .stop = true };
	cpu->fd = KVM_DO(vm->fd, KVM_CREATE_VCPU, 0);
	cpu->run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, cpu->fd, 0);
	if (cpu->run == MAP_FAILED)
		err(1, "the CPU's shared page");
	cpuid_set(vm->kvm, cpu->fd);

	sigaction(KICK, &action, NULL);
	pthread_mutex_init(&cpu->lock, NULL);
	pthread_cond_init(&cpu->changed, NULL);
	errno = pthread_create(&cpu->thread, NULL, run_cpu, cpu);
	if (errno)
		err(1, "the CPU's thread");
	cpu_pause(cpu);
}

void cpu_pause(struct cpu *cpu)
{
	pthread_mutex_lock(&cpu->lock);
	cpu->stop = true;
	/* Seen by the next KVM_RUN, should the signal come before it. */
	cpu->run->immediate_exit = 1;
	pthread_kill(cpu->thread, KICK);
	while (!cpu->stopped)
		pthread_cond_wait(&cpu->changed, &cpu->lock);
	pthread_mutex_unlock(&cpu->lock);
}

void cpu_resume(struct cpu *cpu)
{
	pthread_mutex_lock(&cpu->lock);
	cpu->stop = false;
	pthread_cond_broadcast(&cpu->changed);
	pthread_mutex_unlock(&cpu->lock);
}
