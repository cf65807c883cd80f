// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's serial lines
 *
 * A line has one client at a time.  What the guest sends while there is none is lost;
 * what a client sends waits in its socket until the guest has read what came before.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "serial.h"

/* Where every PC has them. */
static const struct {
	uint16_t port;
	uint8_t irq;
} places[MAX_LINES] = {
	{ 0x3f8, 4 },
	{ 0x2f8, 3 },
	{ 0x3e8, 4 },
	{ 0x2e8, 3 },
};

void serial_init(struct serial *serial, const struct vm *vm)
{
	*serial = (struct serial) { .vm = vm };
	pthread_mutex_init(&serial->lock, NULL);
	serial->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (serial->wake < 0)
		err(1, "eventfd");
}

static int open_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0)
		err(1, "--serial: %s", path);
	return fd;
}

static int listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	if (!*path || strlen(path) >= sizeof(address.sun_path))
		errx(2, "--serial unix:%s: a path has 1 to %zu characters", path,
		     sizeof(address.sun_path) - 1);
	memcpy(address.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 1))
		err(1, "--serial: %s", path);
	return fd;
}

void serial_add(struct serial *serial, const char *where)
{
	struct serial_line *line = &serial->line[serial->nr];

	if (serial->nr == MAX_LINES)
		errx(2, "--serial %s: there are at most %d lines", where, MAX_LINES);
	line->fd = -1;
	line->listener = -1;
	if (!strncmp(where, "unix:", 5))
		line->listener = listen_at(where + 5);
	else if (!strncmp(where, "file:", 5))
		line->fd = open_file(where + 5);
	else
		errx(2, "--serial %s: give file:PATH or unix:PATH", where);
	serial->nr++;
}

static void hang_up(struct serial_line *line)
{
	close(line->fd);
	line->fd = -1;
}

/* Give the host what the guest wrote, as far as the host takes it. */
static void flush(struct serial_line *line)
{
	struct uart *uart = &line->uart;
	ssize_t n = uart->nr_out;

	if (line->fd >= 0 && n)
		n = write(line->fd, uart->out, uart->nr_out);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0 && line->listener >= 0)
		hang_up(line);
	if (uart->nr_out)
		uart_sent(uart, n < 0 ? uart->nr_out : (size_t)n);
}

/* Lines may share an interrupt. */
static void update_irq(struct serial *serial, unsigned int irq)
{
	bool level = false;
	unsigned int i;

	for (i = 0; i < serial->nr; i++)
		level |= places[i].irq == irq && uart_interrupts(&serial->line[i].uart);
	if (level != serial->irq_level[irq])
		vm_set_irq(serial->vm, irq, level);
	serial->irq_level[irq] = level;
}

static void wake_main(const struct serial *serial)
{
	const uint64_t one = 1;

	if (write(serial->wake, &one, sizeof(one)) < 0 && errno != EAGAIN)
		err(1, "eventfd");
}

/* What serial_poll() looks at. */
static unsigned int needs(const struct uart *uart)
{
	return (uart->nr_in ? 0 : 1) | (uart->nr_out ? 2 : 0);
}

static void access_line(struct serial *serial, unsigned int i, unsigned int reg, bool is_write,
			uint8_t *value)
{
	struct serial_line *line = &serial->line[i];
	unsigned int before = needs(&line->uart);
	int fd = line->fd;

	if (is_write)
		uart_write(&line->uart, reg, *value);
	else
		*value = uart_read(&line->uart, reg);
	flush(line);
	update_irq(serial, places[i].irq);
	if ((needs(&line->uart) & ~before) || line->fd != fd)
		wake_main(serial);
}

bool serial_access(struct serial *serial, uint16_t port, bool is_write, uint8_t *value)
{
	unsigned int i;

	for (i = 0; i < serial->nr; i++) {
		if ((port & ~(UART_REGISTERS - 1)) != places[i].port)
			continue;
		pthread_mutex_lock(&serial->lock);
		access_line(serial, i, port & (UART_REGISTERS - 1), is_write, value);
		pthread_mutex_unlock(&serial->lock);
		return true;
	}
	return false;
}

static struct pollfd wanted(const struct serial_line *line)
{
	struct pollfd pfd = { .fd = line->listener, .events = POLLIN };

	if (line->fd >= 0) {
		pfd.fd = line->fd;
		pfd.events = 0;
		if (line->listener >= 0 && !line->uart.nr_in)
			pfd.events |= POLLIN;
		if (line->uart.nr_out)
			pfd.events |= POLLOUT;
	}
	/* A file is never waited for. */
	if (!pfd.events)
		pfd.fd = -1;
	return pfd;
}

unsigned int serial_poll(struct serial *serial, struct pollfd *pfds)
{
	unsigned int i;

	pthread_mutex_lock(&serial->lock);
	pfds[0] = (struct pollfd) { .fd = serial->wake, .events = POLLIN };
	for (i = 0; i < serial->nr; i++)
		pfds[1 + i] = wanted(&serial->line[i]);
	pthread_mutex_unlock(&serial->lock);
	return 1 + serial->nr;
}

static void receive(struct serial_line *line)
{
	uint8_t data[UART_FIFO];
	ssize_t n;

	if (line->uart.nr_in)
		return;
	/* The descriptor is one that does not block. */
	/* NOLINTNEXTLINE(clang-analyzer-unix.BlockInCriticalSection) */
	n = read(line->fd, data, sizeof(data));
	if (n > 0)
		uart_receive(&line->uart, data, (size_t)n);
	else if (!n || (errno != EAGAIN && errno != EINTR))
		hang_up(line);
}

void serial_polled(struct serial *serial, const struct pollfd *pfds)
{
	struct serial_line *line;
	uint64_t count;
	unsigned int i;

	if (pfds[0].revents && read(serial->wake, &count, sizeof(count)) < 0 && errno != EAGAIN)
		err(1, "eventfd");
	pthread_mutex_lock(&serial->lock);
	for (i = 0; i < serial->nr; i++) {
		line = &serial->line[i];
		if (!pfds[1 + i].revents)
			continue;
		if (line->fd < 0)
			line->fd = accept4(line->listener, NULL, NULL,
					   SOCK_NONBLOCK | SOCK_CLOEXEC);
		else if (pfds[1 + i].fd == line->fd)
			receive(line);
		flush(line);
		update_irq(serial, places[i].irq);
	}
	pthread_mutex_unlock(&serial->lock);
}

void serial_loaded(struct serial *serial)
{
	unsigned int i;

	for (i = 0; i < serial->nr; i++) {
		flush(&serial->line[i]);
		update_irq(serial, places[i].irq);
	}
}
