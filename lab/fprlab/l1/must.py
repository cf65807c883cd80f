# SPDX-License-Identifier: GPL-2.0-only
"""What a migration must send: pages that are neither free nor zero when the guest stops."""

import os
import struct

from .guest_qemu import GuestQemu
from .outside_filter import LOW_MEMORY, LOW_MEMORY_MAX
from .ram import PAGE, ZEROS, ChunkReader, find_ram, host_address

FOUR_GIB = 1 << 32
INDEX_ENTRIES = PAGE // 8
CHUNK_BYTES = len(ZEROS) // PAGE // 8  # of a map of pages, for a chunk of memory


def read_map(side: GuestQemu, address: int) -> bytes:
    """The map that lab/l2/guest_free_map.h describes."""
    with open(f"/proc/{side.pid}/mem", "rb", buffering=0) as memory:
        def page(gpa: int) -> bytes:
            return os.pread(memory.fileno(), PAGE, host_address(side.qmp, gpa)) if gpa else ZEROS[:PAGE]

        return b"".join(map(page, struct.unpack(f"={INDEX_ENTRIES}Q", page(address))))


def by_offset(free: bytes, size: int) -> bytes:
    """The part of a map for RAM of that size, by its place in QEMU's block and not in the guest."""
    low = size if size < LOW_MEMORY_MAX else LOW_MEMORY
    high = free[FOUR_GIB // PAGE // 8:]
    return free[:low // PAGE // 8] + high[:(size - low) // PAGE // 8]


def must_bytes(source: GuestQemu, destination: GuestQemu, size: int, address: int) -> int:
    """Of a source that stands still. What is free says the guest on the destination, where it has just gone on."""
    free = by_offset(read_map(destination, address), size)
    reader = ChunkReader(find_ram(source.qmp, source.pid, size))
    pages = 0
    try:
        for offset in range(0, size, len(ZEROS)):
            bits = int.from_bytes(free[offset // PAGE // 8:][:CHUNK_BYTES], "little")
            if reader.read(offset) and reader.buffer != ZEROS:
                pages += sum(not bits >> page & 1 and reader.buffer[page * PAGE:(page + 1) * PAGE] != ZEROS[:PAGE]
                             for page in range(len(ZEROS) // PAGE))
    finally:
        reader.close()
    return pages * PAGE
