// SPDX-License-Identifier: GPL-2.0-or-later
/* Requests for a report, both ways. */
#include <string.h>
#include <zlib.h>

#include "wire.h"

static uint32_t checksum(const uint8_t *record)
{
	return (uint32_t)crc32(0, record, WIRE_REQUEST_CRC);
}

void wire_encode_request(uint8_t *out, uint64_t tag)
{
	wire_put(out, 4, WIRE_MAGIC_REQUEST);
	wire_put(out + WIRE_REQUEST_VERSION, 2, WIRE_VERSION);
	wire_put(out + WIRE_REQUEST_RESERVED, 2, 0);
	wire_put(out + WIRE_REQUEST_TAG, 8, tag);
	wire_put(out + WIRE_REQUEST_CRC, 4, checksum(out));
}

void wire_request_init(struct wire_request *request)
{
	request->have = 0;
}

/*
 * Every version keeps a request's length and the places of version, tag and
 * checksum, so that one of another version can be refused by its tag.
 */
static enum wire_status check(struct wire_request *request)
{
	const uint8_t *record = request->record;

	if (wire_get(record, 4) != WIRE_MAGIC_REQUEST ||
	    wire_get(record + WIRE_REQUEST_CRC, 4) != checksum(record))
		return WIRE_GARBAGE;
	request->tag = wire_get(record + WIRE_REQUEST_TAG, 8);
	if (wire_get(record + WIRE_REQUEST_VERSION, 2) != WIRE_VERSION ||
	    wire_get(record + WIRE_REQUEST_RESERVED, 2))
		return WIRE_OTHER_VERSION;
	return WIRE_DONE;
}

enum wire_status wire_decode_request(struct wire_request *request, const void *data,
				     size_t len, size_t *used)
{
	const uint8_t *in = data;
	enum wire_status status;

	for (*used = 0; *used < len;) {
		request->record[request->have++] = in[(*used)++];
		if (request->have < sizeof(request->record))
			continue;
		status = check(request);
		if (status != WIRE_GARBAGE) {
			request->have = 0;
			return status;
		}
		request->have--;
		memmove(request->record, request->record + 1, request->have);
	}
	return WIRE_MORE;
}
