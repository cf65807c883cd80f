// SPDX-License-Identifier: GPL-2.0-only
/*
 * A 16550A without errors and without speed
 *
 * The receiver is filled only when it is empty, and the transmitter counts as empty
 * once the host has taken what was in it: nothing is lost, however slow either is.
 */
#include <linux/serial_reg.h>
#include <string.h>

#include "uart.h"

/* The line's other end is always there: carrier, ready, clear to send. */
#define MODEM_READY	(UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS)

static uint8_t pending_interrupt(const struct uart *uart)
{
	if ((uart->ier & UART_IER_RDI) && uart->nr_in)
		return UART_IIR_RDI;
	if ((uart->ier & UART_IER_THRI) && uart->sent)
		return UART_IIR_THRI;
	return UART_IIR_NO_INT;
}

bool uart_interrupts(const struct uart *uart)
{
	return (uart->mcr & UART_MCR_OUT2) && pending_interrupt(uart) != UART_IIR_NO_INT;
}

/* Having read that the transmitter is empty, the guest knows it. */
static uint8_t read_interrupt(struct uart *uart)
{
	uint8_t interrupt = pending_interrupt(uart);

	if (interrupt == UART_IIR_THRI)
		uart->sent = false;
	return interrupt | (uart->fcr & UART_FCR_ENABLE_FIFO ? 0xc0 : 0);
}

/* In loopback the outputs are the inputs, by which the guest's driver knows a UART. */
static uint8_t read_modem(const struct uart *uart)
{
	if (!(uart->mcr & UART_MCR_LOOP))
		return MODEM_READY;
	return (uart->mcr & UART_MCR_DTR ? UART_MSR_DSR : 0) |
	       (uart->mcr & UART_MCR_RTS ? UART_MSR_CTS : 0) |
	       (uart->mcr & UART_MCR_OUT1 ? UART_MSR_RI : 0) |
	       (uart->mcr & UART_MCR_OUT2 ? UART_MSR_DCD : 0);
}

static uint8_t take_byte(struct uart *uart)
{
	uint8_t byte = uart->in[0];

	if (!uart->nr_in)
		return 0;
	memmove(uart->in, uart->in + 1, --uart->nr_in);
	return byte;
}

uint8_t uart_read(struct uart *uart, unsigned int reg)
{
	if ((uart->lcr & UART_LCR_DLAB) && reg <= UART_DLM)
		return uart->divisor[reg];
	switch (reg) {
	case UART_RX:
		return take_byte(uart);
	case UART_IER:
		return uart->ier;
	case UART_IIR:
		return read_interrupt(uart);
	case UART_LCR:
		return uart->lcr;
	case UART_MCR:
		return uart->mcr;
	case UART_LSR:
		return (uart->nr_in ? UART_LSR_DR : 0) |
		       (uart->nr_out ? 0 : UART_LSR_THRE | UART_LSR_TEMT);
	case UART_MSR:
		return read_modem(uart);
	default:
		return uart->scr;
	}
}

static void put_byte(struct uart *uart, uint8_t byte)
{
	uart->sent = false;
	if (uart->nr_out < UART_FIFO)
		uart->out[uart->nr_out++] = byte;
}

static void write_ier(struct uart *uart, uint8_t value)
{
	bool asks = !(uart->ier & UART_IER_THRI) && (value & UART_IER_THRI);

	uart->ier = value & (UART_IER_RDI | UART_IER_THRI | UART_IER_RLSI | UART_IER_MSI);
	if (asks && !uart->nr_out)
		uart->sent = true;
}

static void write_fcr(struct uart *uart, uint8_t value)
{
	uart->fcr = value & UART_FCR_ENABLE_FIFO;
	if (value & UART_FCR_CLEAR_RCVR)
		uart->nr_in = 0;
	if (value & UART_FCR_CLEAR_XMIT)
		uart->nr_out = 0;
}

void uart_write(struct uart *uart, unsigned int reg, uint8_t value)
{
	if ((uart->lcr & UART_LCR_DLAB) && reg <= UART_DLM) {
		uart->divisor[reg] = value;
		return;
	}
	switch (reg) {
	case UART_TX:
		put_byte(uart, value);
		break;
	case UART_IER:
		write_ier(uart, value);
		break;
	case UART_FCR:
		write_fcr(uart, value);
		break;
	case UART_LCR:
		uart->lcr = value;
		break;
	case UART_MCR:
		uart->mcr = value & (UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT1 |
				     UART_MCR_OUT2 | UART_MCR_LOOP);
		break;
	case UART_SCR:
		uart->scr = value;
		break;
	default:
		break;
	}
}

void uart_receive(struct uart *uart, const uint8_t *data, size_t n)
{
	memcpy(uart->in, data, n);
	uart->nr_in = (uint8_t)n;
}

void uart_sent(struct uart *uart, size_t n)
{
	uart->nr_out -= (uint8_t)n;
	memmove(uart->out, uart->out + n, uart->nr_out);
	uart->sent = !uart->nr_out;
}
