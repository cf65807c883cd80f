# SPDX-License-Identifier: GPL-2.0-only
"""The wire format of reports, written from its description and not from the C beside it."""

import struct
import zlib
from collections.abc import Callable
from typing import NamedTuple

CHUNK_PAGES = 32768
CHUNK_BYTES = CHUNK_PAGES // 8
REQUEST = struct.Struct("<4sHHQ")
RESPONSE = struct.Struct("<4sHHQQI")
CHUNK = struct.Struct("<4sHHQI")
END = struct.Struct("<4sIQ")
CRC = struct.Struct("<I")
REQUEST_LEN = REQUEST.size + CRC.size
HEADER_LEN = RESPONSE.size + CRC.size
END_LEN = END.size + CRC.size
NO_EPOCH = 0  # the tag of a request that belongs to none, by which QEMU finds out whether there is an agent


class WireError(Exception):
    """Data that is not as described."""


class Incomplete(WireError):
    """Data that ends too early."""


class Report(NamedTuple):
    """A response, decoded."""

    status: int
    tag: int
    nr_pages: int
    page_shift: int
    free: int  # bit n: page n
    length: int  # bytes that it took


def request(tag: int, version: int = 1) -> bytes:
    """A request."""
    record = REQUEST.pack(b"FPRQ", version, 0, tag)
    return record + CRC.pack(zlib.crc32(record))


def response(tag: int, free: int, nr_pages: int, *, status: int = 0, page_shift: int = 12) -> bytes:
    """A response: chunks as bitmaps, or without a payload where all is free."""
    start = header(tag, nr_pages, status=status, page_shift=page_shift)
    if status:
        return start
    chunks = [_chunk(start, first, free >> first, min(CHUNK_PAGES, nr_pages - first))
              for first in range(0, free.bit_length(), CHUNK_PAGES)]
    return _whole(start, [chunk for chunk in chunks if chunk], free.bit_count())


def all_free(tag: int, nr_pages: int, first: int = 0) -> bytes:
    """A response in which all pages from one on, a multiple of CHUNK_PAGES, are free, however many that are."""
    start = header(tag, nr_pages)
    chunks = [free_chunk(start, at, min(CHUNK_PAGES, nr_pages - at)) for at in range(first, nr_pages, CHUNK_PAGES)]
    return _whole(start, chunks, nr_pages - first)


def header(tag: int, nr_pages: int, *, status: int = 0, page_shift: int = 12) -> bytes:
    """How a response begins."""
    record = RESPONSE.pack(b"FPRR", 1, status, tag, nr_pages, page_shift)
    return record + CRC.pack(zlib.crc32(record))


def free_chunk(start: bytes, first: int, pages: int) -> bytes:
    """A chunk whose pages are all free, for the response with that header."""
    return _record(start, CHUNK.pack(b"FPRC", 1, 0, first, pages))


def _record(start: bytes, head: bytes, payload: bytes = b"") -> bytes:
    seed = CRC.unpack(start[RESPONSE.size:])[0]
    return head + CRC.pack(zlib.crc32(payload, zlib.crc32(head, seed))) + payload


def _whole(start: bytes, chunks: list[bytes], nr_free: int) -> bytes:
    return b"".join((start, *chunks, _record(start, END.pack(b"FPRE", len(chunks), nr_free))))


def _chunk(start: bytes, first: int, free: int, pages: int) -> bytes:
    bits = free & (1 << pages) - 1
    if not bits:
        return b""
    if bits.bit_count() == pages:
        return free_chunk(start, first, pages)
    head = CHUNK.pack(b"FPRC", 3, CHUNK_BYTES, first, bits.bit_count())
    return _record(start, head, bits.to_bytes(CHUNK_BYTES, "little"))


def decode_request(data: bytes) -> int:
    """A request's tag."""
    magic, version, reserved, tag = REQUEST.unpack(data[:REQUEST.size])
    _need((magic, version, reserved) == (b"FPRQ", 1, 0), "no request")
    _need(data == request(tag), "checksum of the request")
    return tag


def read_response(read: Callable[[int], bytes]) -> bytes:
    """The bytes of one response, which are not decoded; read(size) is asked for no more than belongs to it."""
    data = read(HEADER_LEN)
    if RESPONSE.unpack(data[:RESPONSE.size])[2]:
        return data  # a refusal has nothing but a status
    while not (record := read(END_LEN)).startswith(b"FPRE"):
        payload = CHUNK.unpack(record[:CHUNK.size])[2]
        data += record + read(CHUNK.size + CRC.size - END_LEN + payload)
    return data + record


def _need(condition: bool, what: str) -> None:
    if not condition:
        raise WireError(what)


def _take(data: bytes, at: int, length: int) -> bytes:
    part = data[at:at + length]
    if len(part) < length:
        raise Incomplete(f"{length} bytes at {at}, but {len(data)} in all")
    return part


def _varints(payload: bytes) -> list[int]:
    values, value, shift = [], 0, 0
    for byte in payload:
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            values.append(value)
            value = shift = 0
    _need(shift == 0, "a number is cut off")
    return values


def _runs(payload: bytes) -> int:
    bits = at = 0
    for index, run in enumerate(_varints(payload)):
        if index % 2:
            bits |= (1 << run) - 1 << at
        at += run
    return bits


def _chunk_bits(encoding: int, payload: bytes, pages: int) -> int:
    if encoding == 1:
        return (1 << pages) - 1
    if encoding == 2:
        return _runs(payload)
    _need(encoding == 3 and len(payload) == CHUNK_BYTES, f"encoding {encoding}")
    return int.from_bytes(payload, "little")


def decode(data: bytes) -> Report:
    """A response at the beginning of data."""
    start = _take(data, 0, HEADER_LEN)
    magic, version, status, tag, nr_pages, page_shift = RESPONSE.unpack(start[:-4])
    seed = CRC.unpack(start[-4:])[0]
    _need(magic == b"FPRR" and version == 1, "no response")
    _need(zlib.crc32(start[:-4]) == seed, "checksum of the header")
    free = chunks = 0
    at = HEADER_LEN
    if status:
        return Report(status, tag, nr_pages, page_shift, 0, at)
    last = -1
    while _take(data, at, 4) == b"FPRC":
        head = _take(data, at, CHUNK.size)
        _, encoding, length, first, count = CHUNK.unpack(head)
        crc = CRC.unpack(_take(data, at + CHUNK.size, 4))[0]
        payload = _take(data, at + CHUNK.size + 4, length)
        _need(zlib.crc32(payload, zlib.crc32(head, seed)) == crc, f"checksum of the chunk at {at}")
        _need(first % CHUNK_PAGES == 0 and last < first < nr_pages, f"chunk at page {first}")
        pages = min(CHUNK_PAGES, nr_pages - first)
        bits = _chunk_bits(encoding, payload, pages)
        _need(bits.bit_count() == count > 0 and not bits >> pages, f"pages of the chunk at {at}")
        free |= bits << first
        last = first
        chunks += 1
        at += CHUNK.size + 4 + length
    end = _take(data, at, END.size)
    _need(END.unpack(end) == (b"FPRE", chunks, free.bit_count()), f"end at {at}")
    _need(zlib.crc32(end, seed) == CRC.unpack(_take(data, at + END.size, 4))[0], "checksum of the end")
    return Report(status, tag, nr_pages, page_shift, free, at + END.size + 4)
