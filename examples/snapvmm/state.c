// SPDX-License-Identifier: GPL-2.0-only
/* All of a machine but its memory: saving and loading. */
#include <linux/kvm_para.h>
#include <string.h>

#include "checked.h"
#include "state.h"

/*
 * Where KVM writes the time when they are set, which a guest asks for when it boots
 * and never again.  Setting them would write to memory that was just loaded.
 */
static bool is_wall_clock(uint32_t msr)
{
	return msr == MSR_KVM_WALL_CLOCK || msr == MSR_KVM_WALL_CLOCK_NEW;
}

static int read_msr(int cpu, struct kvm_msr_entry *entry)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} msrs = { .head.nmsrs = 1, .entry = { .index = entry->index } };
	int nr = KVM_PASS(cpu, KVM_GET_MSRS, &msrs);

	*entry = msrs.entry;
	return nr;
}

/* Of all that KVM knows, those that this CPU has. */
static void save_msrs(struct machine_state *state, int kvm, int cpu)
{
	struct kvm_msr_list *list;
	struct kvm_msr_entry entry;
	uint32_t i;

	list = checked_calloc(1, sizeof(*list) + MAX_MSRS * sizeof(list->indices[0]));
	list->nmsrs = MAX_MSRS;
	KVM_PASS(kvm, KVM_GET_MSR_INDEX_LIST, list);
	state->nr_msrs = 0;
	for (i = 0; i < list->nmsrs; i++) {
		entry = (struct kvm_msr_entry) { .index = list->indices[i] };
		if (!is_wall_clock(entry.index) && read_msr(cpu, &entry))
			state->msrs[state->nr_msrs++] = entry;
	}
	free(list);
}

static void load_msrs(const struct machine_state *state, int cpu)
{
	struct kvm_msrs *msrs;
	uint32_t done;

	msrs = checked_calloc(1, sizeof(*msrs) + sizeof(state->msrs));
	msrs->nmsrs = state->nr_msrs;
	memcpy(msrs->entries, state->msrs, state->nr_msrs * sizeof(state->msrs[0]));
	done = (uint32_t)KVM_PASS(cpu, KVM_SET_MSRS, msrs);
	if (done != state->nr_msrs)
		errx(1, "KVM does not take back the register %#x", state->msrs[done].index);
	free(msrs);
}

static void save_chips(struct machine_state *state, int vm)
{
	uint32_t i;

	for (i = 0; i < 3; i++) {
		state->irqchips[i].chip_id = i;
		KVM_PASS(vm, KVM_GET_IRQCHIP, &state->irqchips[i]);
	}
	KVM_PASS(vm, KVM_GET_PIT2, &state->pit);
	KVM_PASS(vm, KVM_GET_CLOCK, &state->clock);
}

/* The guest's clock goes on from where it was. */
static void load_chips(const struct machine_state *state, int vm)
{
	struct kvm_clock_data clock = { .clock = state->clock.clock };
	int i;

	for (i = 0; i < 3; i++)
		KVM_PASS(vm, KVM_SET_IRQCHIP, &state->irqchips[i]);
	KVM_PASS(vm, KVM_SET_PIT2, &state->pit);
	KVM_PASS(vm, KVM_SET_CLOCK, &clock);
}

void state_save(struct machine_state *state, const struct vm *vm, const struct cpu *cpu,
		const struct serial *serial)
{
	unsigned int i;

	memset(state, 0, sizeof(*state));
	KVM_PASS(cpu->fd, KVM_GET_MP_STATE, &state->mp_state);
	KVM_PASS(cpu->fd, KVM_GET_REGS, &state->regs);
	KVM_PASS(cpu->fd, KVM_GET_SREGS, &state->sregs);
	KVM_PASS(cpu->fd, KVM_GET_FPU, &state->fpu);
	KVM_PASS(cpu->fd, KVM_GET_DEBUGREGS, &state->debugregs);
	KVM_PASS(cpu->fd, KVM_GET_LAPIC, &state->lapic);
	save_msrs(state, vm->kvm, cpu->fd);
	KVM_PASS(cpu->fd, KVM_GET_VCPU_EVENTS, &state->events);
	save_chips(state, vm->fd);
	state->nr_uarts = serial->nr;
	for (i = 0; i < serial->nr; i++)
		state->uarts[i] = serial->line[i].uart;
}

/* The timer's deadline is a register of the local APIC, so the APIC comes first. */
void state_load(const struct machine_state *state, const struct vm *vm, const struct cpu *cpu,
		struct serial *serial)
{
	unsigned int i;

	load_chips(state, vm->fd);
	KVM_PASS(cpu->fd, KVM_SET_MP_STATE, &state->mp_state);
	KVM_PASS(cpu->fd, KVM_SET_SREGS, &state->sregs);
	KVM_PASS(cpu->fd, KVM_SET_REGS, &state->regs);
	KVM_PASS(cpu->fd, KVM_SET_FPU, &state->fpu);
	KVM_PASS(cpu->fd, KVM_SET_DEBUGREGS, &state->debugregs);
	KVM_PASS(cpu->fd, KVM_SET_LAPIC, &state->lapic);
	load_msrs(state, cpu->fd);
	KVM_PASS(cpu->fd, KVM_SET_VCPU_EVENTS, &state->events);
	if (serial->nr != state->nr_uarts)
		errx(2, "the snapshot has %u serial lines: give --serial as often",
		     state->nr_uarts);
	for (i = 0; i < serial->nr; i++)
		serial->line[i].uart = state->uarts[i];
	serial_loaded(serial);
}
