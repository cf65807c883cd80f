// SPDX-License-Identifier: GPL-2.0-only
/* The table of Intel's MultiProcessor Specification 1.4, for one CPU, one IO-APIC, an ISA bus. */
#include <string.h>

#include "mptable.h"

#define REVISION	4
#define LOCAL_APIC	0xfee00000U
#define IO_APIC		0xfec00000U
#define LOCAL_APIC_VERSION	0x14
#define IO_APIC_VERSION	0x11
#define CPU_ID		0
#define IO_APIC_ID	1
#define ANY_APIC	0xff
#define ENABLED		1
#define BOOT_CPU	2

#define NR_IRQS		16
#define CASCADE		2		/* of the two PICs, no device */

enum entry_type { ENTRY_CPU, ENTRY_BUS, ENTRY_IO_APIC, ENTRY_INTERRUPT, ENTRY_LOCAL_INTERRUPT };
enum interrupt_type { INTERRUPT, INTERRUPT_NMI, INTERRUPT_SMI, INTERRUPT_PIC };

struct mp_interrupt {
	uint8_t type, interrupt_type;
	uint16_t flags;			/* 0: as usual on that bus */
	uint8_t bus, irq, apic, pin;
};

struct mptable {
	struct {
		char signature[4];
		uint32_t table;
		uint8_t length, revision, checksum, features[5];
	} pointer;
	struct mp_config {
		char signature[4];
		uint16_t length;
		uint8_t revision, checksum;
		char maker[8], product[12];
		uint32_t more;
		uint16_t more_length, nr_entries;
		uint32_t local_apic, reserved;
		struct {
			uint8_t type, id, version, flags;
			uint32_t signature, features, reserved[2];
		} cpu;
		struct {
			uint8_t type, id;
			char name[6];
		} bus;
		struct {
			uint8_t type, id, version, flags;
			uint32_t address;
		} io_apic;
		struct mp_interrupt interrupts[NR_IRQS - 1];
		struct mp_interrupt local[2];
	} config;
};

/* All bytes that it covers have to give 0. */
static uint8_t checksum(const void *data, size_t len)
{
	const uint8_t *bytes = data;
	uint8_t sum = 0;

	while (len--)
		sum += *bytes++;
	return (uint8_t)-sum;
}

static void add_interrupts(struct mp_config *config)
{
	struct mp_interrupt *interrupt = config->interrupts;
	uint8_t irq;

	for (irq = 0; irq < NR_IRQS; irq++) {
		if (irq != CASCADE)
			*interrupt++ = (struct mp_interrupt) {
				.type = ENTRY_INTERRUPT, .irq = irq, .apic = IO_APIC_ID, .pin = irq,
			};
	}
	config->local[0] = (struct mp_interrupt) {
		.type = ENTRY_LOCAL_INTERRUPT, .interrupt_type = INTERRUPT_PIC, .apic = ANY_APIC,
	};
	config->local[1] = (struct mp_interrupt) {
		.type = ENTRY_LOCAL_INTERRUPT, .interrupt_type = INTERRUPT_NMI, .apic = ANY_APIC,
		.pin = 1,
	};
}

void mptable_write(const struct vm *vm)
{
	struct mptable *table = (struct mptable *)(vm->memory + MPTABLE);
	struct mp_config *config = &table->config;

	*table = (struct mptable) {
		.pointer = {
			.signature = "_MP_", .length = 1, .revision = REVISION,
			.table = MPTABLE + offsetof(struct mptable, config),
		},
		.config = {
			.signature = "PCMP", .length = sizeof(*config), .revision = REVISION,
			.maker = "SNAPVMM ", .product = "SNAPVMM     ",
			.nr_entries = 3 + NR_IRQS - 1 + 2, .local_apic = LOCAL_APIC,
			.cpu = {
				.type = ENTRY_CPU, .id = CPU_ID, .version = LOCAL_APIC_VERSION,
				.flags = ENABLED | BOOT_CPU,
			},
			.bus = { .type = ENTRY_BUS, .name = "ISA   " },
			.io_apic = {
				.type = ENTRY_IO_APIC, .id = IO_APIC_ID, .version = IO_APIC_VERSION,
				.flags = ENABLED, .address = IO_APIC,
			},
		},
	};
	add_interrupts(config);
	table->pointer.checksum = checksum(&table->pointer, sizeof(table->pointer));
	config->checksum = checksum(config, sizeof(*config));
}
