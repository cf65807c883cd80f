# SPDX-License-Identifier: GPL-2.0-only
"""Comparing the guest RAM of two stopped QEMUs, page by page."""

import dataclasses
import os
import re

from ..common.errors import LabError
from .qmp import Qmp

PAGE = 4096
CHUNK = 1 << 20
ZEROS = bytes(CHUNK)
PAGEMAP_ENTRY = 8  # bytes for a page in /proc/PID/pagemap
WALL_CLOCK_BYTES = 12  # KVM's struct pvclock_wall_clock
GPA2HVA = re.compile(r"Host virtual address for 0x[0-9a-f]+ \(\S+\) is 0x([0-9a-f]+)")
# Name, page size, offset, used and total length, and the address.
RAMBLOCK = re.compile(r"\s*(\S+)\s+\d+ \S+ +0x\w+ 0x\w+ 0x\w+ 0x0*([0-9a-f]+)\b")


@dataclasses.dataclass(frozen=True)
class GuestRam:
    """Where a QEMU has its guest's RAM."""

    pid: int
    block: str  # the RAMBlock's name
    address: int
    size: int


def block_name(qmp: Qmp, address: int) -> str:
    """The name, in migrations and trace events, of the RAMBlock that begins there."""
    text = qmp.execute("human-monitor-command", command_line="info ramblock")
    for line in text.splitlines():
        match = RAMBLOCK.match(line)
        if match and int(match.group(2), 16) == address:
            return match.group(1)
    raise LabError(f"QEMU has no RAMBlock at {address:#x}")


def host_address(qmp: Qmp, address: int) -> int:
    """Where the QEMU has the RAM at a guest physical address."""
    text = qmp.execute("human-monitor-command", command_line=f"gpa2hva {address:#x}")
    match = GPA2HVA.match(text)
    if not match:
        raise LabError(f"QEMU does not say where its guest's RAM is: {text.strip()!r}")
    return int(match.group(1), 16)


def mapping_of(ram: GuestRam) -> list[str]:
    """The words of /proc/PID/maps about the one mapping that has all of it, none if there is none."""
    with open(f"/proc/{ram.pid}/maps", encoding="ascii", errors="replace") as maps:
        for line in maps:
            words = line.split()
            start, end = (int(part, 16) for part in words[0].split("-"))
            if start <= ram.address and ram.address + ram.size <= end:
                return words
    return []


def find_ram(qmp: Qmp, pid: int, size: int, address: int = 0) -> GuestRam:
    """The RAM at a guest physical address, which is one mapping. What follows it there need not be what
    follows it in the guest: a machine has a hole below 4 GiB."""
    start = host_address(qmp, address)
    ram = GuestRam(pid, block_name(qmp, start), start, size)
    if not mapping_of(ram):
        raise LabError(f"no mapping of {size} bytes at {ram.address:#x} in process {pid}")
    return ram


def differing_in(left: bytearray, right: bytearray) -> list[int]:
    """Indexes of the pages in which two buffers of one size differ."""
    if left == right:
        return []
    return [page for page in range(len(left) // PAGE)
            if left[page * PAGE:(page + 1) * PAGE] != right[page * PAGE:(page + 1) * PAGE]]


def read_exactly(memory: int, buffer: bytearray, address: int) -> None:
    """Fill the buffer from a /proc/PID/mem."""
    done = 0
    while done < len(buffer):
        count = os.preadv(memory, [memoryview(buffer)[done:]], address + done)
        if not count:
            raise LabError(f"cannot read guest RAM at {address + done:#x}")
        done += count


def is_anonymous(ram: GuestRam) -> bool:
    """Whether all of it is memory that belongs to the process alone, and to no file."""
    words = mapping_of(ram)
    # Addresses, permissions, offset, device, inode
    return bool(words) and words[1][3] == "p" and words[4] == "0"


class ChunkReader:
    """Reads guest RAM chunk by chunk, and passes over what was never populated: to read it would populate it,
    a fault for each page. It is zero, but in memory that is a file's, where another process may have written: there
    nothing is passed over, unless what the QEMU itself has mapped will do."""

    def __init__(self, ram: GuestRam, mapped_only: bool = False) -> None:
        self._ram = ram
        self._memory = os.open(f"/proc/{ram.pid}/mem", os.O_RDONLY)
        self._pagemap = os.open(f"/proc/{ram.pid}/pagemap", os.O_RDONLY) if mapped_only or is_anonymous(ram) else -1
        self.buffer = bytearray(CHUNK)

    def close(self) -> None:
        """Let go of the process."""
        os.close(self._memory)
        if self._pagemap >= 0:
            os.close(self._pagemap)

    def _populated(self, offset: int) -> bool:
        """Whether a page of the chunk is present or swapped out: bits of the highest byte of its entry."""
        if self._pagemap < 0:
            return True
        entries = os.pread(self._pagemap, CHUNK // PAGE * PAGEMAP_ENTRY,
                           (self._ram.address + offset) // PAGE * PAGEMAP_ENTRY)
        return len(entries) < CHUNK // PAGE * PAGEMAP_ENTRY or any(entries[PAGEMAP_ENTRY - 1::PAGEMAP_ENTRY])

    def read(self, offset: int) -> bool:
        """Fill the buffer with the chunk there; False if that needs no look, for it is zero."""
        if self._populated(offset):
            read_exactly(self._memory, self.buffer, self._ram.address + offset)
            return True
        self.buffer[:] = ZEROS
        return False


def differing_pages(source: GuestRam, destination: GuestRam) -> list[int]:
    """Indexes of all pages that differ, in order."""
    differing: list[int] = []
    left, right = ChunkReader(source), ChunkReader(destination)
    try:
        for offset in range(0, source.size, CHUNK):
            if any([left.read(offset), right.read(offset)]):
                first = offset // PAGE
                differing += [first + page for page in differing_in(left.buffer, right.buffer)]
    finally:
        left.close()
        right.close()
    return differing


def read_page(ram: GuestRam, page: int) -> bytearray:
    """The content of one page."""
    buffer = bytearray(PAGE)
    with open(f"/proc/{ram.pid}/mem", "rb", buffering=0) as memory:
        read_exactly(memory.fileno(), buffer, ram.address + page * PAGE)
    return buffer


def differs_in_wall_clock_only(source: GuestRam, destination: GuestRam, clock: int) -> bool:
    """Whether all that differs in a page is the time that the destination's KVM has
    written there itself, as it does whenever a vCPU's state is loaded. The clock is at
    this offset of the block."""
    page, offset = divmod(clock, PAGE)
    left, right = read_page(source, page), read_page(destination, page)
    right[offset:offset + WALL_CLOCK_BYTES] = left[offset:offset + WALL_CLOCK_BYTES]
    return left == right


def first_difference(source: GuestRam, destination: GuestRam, page: int) -> str:
    """Where a page differs first, for a message."""
    left, right = read_page(source, page), read_page(destination, page)
    differing = [offset for offset in range(PAGE) if left[offset] != right[offset]]
    if not differing:
        return f"page {page:#x}, which no longer differs"
    start = differing[0] & ~7
    return (f"page {page:#x}, {len(differing)} bytes from {differing[0]:#x} to {differing[-1]:#x}: "
            f"{left[start:start + 16].hex()} became {right[start:start + 16].hex()}")
