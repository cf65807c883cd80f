/* SPDX-License-Identifier: GPL-2.0-only */
/* The registers of a 16550A; where its bytes come from and go to is serial.c's affair. */
#ifndef UART_H
#define UART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UART_REGISTERS	8
#define UART_FIFO	16

/**
 * struct uart - all that a UART remembers
 * @ier:	interrupts that the guest wants
 * @fcr:	whether the FIFOs are on
 * @lcr:	line settings, and whether the divisor is visible
 * @mcr:	outputs of the modem, and loopback
 * @scr:	scratch
 * @divisor:	kept, but of no effect
 * @sent:	the transmitter ran empty, which the guest was not told yet
 * @nr_in:	bytes that wait for the guest
 * @nr_out:	bytes that wait for the host
 * @in:		those for the guest
 * @out:	those for the host
 */
struct uart {
	uint8_t ier, fcr, lcr, mcr, scr;
	uint8_t divisor[2];
	uint8_t sent;
	uint8_t nr_in, nr_out;
	uint8_t in[UART_FIFO], out[UART_FIFO];
};

/* The guest's accesses to register @reg. */
uint8_t uart_read(struct uart *uart, unsigned int reg);
void uart_write(struct uart *uart, unsigned int reg, uint8_t value);

/* Whether it wants an interrupt. */
bool uart_interrupts(const struct uart *uart);

/* Puts @n bytes, at most UART_FIFO, into a receiver that is empty. */
void uart_receive(struct uart *uart, const uint8_t *data, size_t n);

/* Forgets the first @n bytes of @out. */
void uart_sent(struct uart *uart, size_t n);

#endif /* UART_H */
