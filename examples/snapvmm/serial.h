/* SPDX-License-Identifier: GPL-2.0-only */
/* The guest's serial lines: a UART each, and what it is connected to on the host. */
#ifndef SERIAL_H
#define SERIAL_H

#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "uart.h"
#include "vm.h"

#define MAX_LINES	4

/**
 * struct serial_line - one of them
 * @uart:	what the guest sees
 * @listener:	the socket where a client may connect, -1 if it is a file
 * @fd:		the file or the connected client, -1 if there is none
 */
struct serial_line {
	struct uart uart;
	int listener;
	int fd;
};

/**
 * struct serial - all of them
 * @vm:		whose they are
 * @lock:	the CPU's thread and the main one both come here
 * @wake:	an eventfd by which the first tells the second that it may have to
 *		wait for something else now
 * @nr:		how many there are
 * @line:	as the guest knows them: ttyS0, ttyS1, ...
 * @irq_level:	what KVM was last told of their interrupts
 */
struct serial {
	const struct vm *vm;
	pthread_mutex_t lock;
	int wake;
	unsigned int nr;
	struct serial_line line[MAX_LINES];
	bool irq_level[16];
};

void serial_init(struct serial *serial, const struct vm *vm);

/* Adds a line at file:PATH, which is written only, or unix:PATH; ends the program on failure. */
void serial_add(struct serial *serial, const char *where);

/* An access of the guest to an I/O port; false if none of the lines is there. */
bool serial_access(struct serial *serial, uint16_t port, bool is_write, uint8_t *value);

/* For poll(): what to wait for, at most 1 + MAX_LINES, and what to do then. */
unsigned int serial_poll(struct serial *serial, struct pollfd *pfds);
void serial_polled(struct serial *serial, const struct pollfd *pfds);

/* After the UARTs' registers were loaded. */
void serial_loaded(struct serial *serial);

#endif /* SERIAL_H */
