// SPDX-License-Identifier: GPL-2.0-only
/*
 * Receiving frames of known content.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest_net.h"

#define INTERFACE "eth0"
/* As fprlab/l1/traffic.py has them; the protocol is one for experiments. */
#define PROTOCOL 0x88b5
#define FRAME_WORDS 180
#define WORD_FACTOR 0x9e3779b97f4a7c15ULL
/* Enough for what comes between two beats */
#define QUEUE_SIZE (32 << 20)

static int net_fd = -1;
static uint64_t last_number;

static bool bring_up(int fd, int *index)
{
	struct ifreq request = { .ifr_name = INTERFACE, .ifr_flags = IFF_UP };

	if (ioctl(fd, SIOCSIFFLAGS, &request) ||
	    ioctl(fd, SIOCGIFINDEX, &request))
		return false;
	*index = request.ifr_ifindex;
	return true;
}

bool net_start(void)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(PROTOCOL),
	};
	int size = QUEUE_SIZE;

	net_fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	return net_fd >= 0 && bring_up(net_fd, &address.sll_ifindex) &&
	       !setsockopt(net_fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) &&
	       !bind(net_fd, (struct sockaddr *)&address, sizeof(address));
}

/*
 * Frames may be missing, but each has a higher number than the one before it: an
 * older frame is what the page held when the device last wrote it but one.
 */
static bool frame_verify(const uint64_t *words, struct verify_result *result)
{
	uint64_t expected = words[0];
	size_t i = 0;

	if (words[0] <= last_number)
		expected = last_number + 1;
	for (; i < FRAME_WORDS - 1 && words[i] == expected; i++)
		expected = words[0] ^ (i + 1) * WORD_FACTOR;
	if (words[i] == expected) {
		last_number = words[0];
		return true;
	}
	if (!result->buffer) {
		result->buffer = "net";
		result->page = words[0];
		result->word = i;
		result->expected = expected;
		result->found = words[i];
	}
	return false;
}

void net_verify(struct verify_result *result)
{
	uint64_t words[FRAME_WORDS + 1];

	if (net_fd < 0)
		return;
	for (;;) {
		ssize_t n = recv(net_fd, words, sizeof(words), 0);

		if (n < 0)
			return;
		if (n != FRAME_WORDS * sizeof(*words))
			words[0] = 0;
		result->pages++;
		result->wrong += !frame_verify(words, result);
	}
}
