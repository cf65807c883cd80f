# SPDX-License-Identifier: GPL-2.0-only
"""What a kernel says of its pages, as sets of page frame numbers in one big number each."""

import ctypes
import mmap
import os
import re
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

DEVICE = Path("/dev/fpr_guest")
MODULE = "fpr_guest"
PARAMETERS = Path("/sys/module") / MODULE / "parameters"
PAGE = os.sysconf("SC_PAGESIZE")

KPF_BUDDY = 10
PM_PRESENT = 1 << 63
PM_PFN = (1 << 55) - 1

# Bit KPF_BUDDY of a word is bit 2 of its second byte; as the digit "1" or "0".
BUDDY_DIGIT = bytes(ord("1") if byte >> (KPF_BUDDY - 8) & 1 else ord("0") for byte in range(256))

libc = ctypes.CDLL(None, use_errno=True)
libc.mlock.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


def load(directory: Path) -> None:
    """Load the module, and wait for its device."""
    subprocess.run(["insmod", directory / f"{MODULE}.ko"], check=True)
    for _ in range(50):
        if DEVICE.exists():
            return
        time.sleep(0.1)


def read_part(path: Path, offset: int = 0, size: int = 1 << 40) -> bytes:
    """What a file of page states has there; it is read in whole words."""
    parts = []
    fd = os.open(path, os.O_RDONLY)
    try:
        while size and (part := os.pread(fd, min(size, 4 << 20), offset)):
            parts.append(part)
            offset += len(part)
            size -= len(part)
    finally:
        os.close(fd)
    return b"".join(parts)


def read_device(offset: int = 0, size: int = 1 << 40) -> int:
    """The free pages from the device, as bits of the part that was read."""
    return int.from_bytes(read_part(DEVICE, offset, size), "little")


def device_size() -> int:
    """Bytes that the device has."""
    fd = os.open(DEVICE, os.O_RDONLY)
    try:
        return os.lseek(fd, 0, os.SEEK_END)
    finally:
        os.close(fd)


def read_buddy() -> int:
    """The free pages that /proc/kpageflags shows: none of the per-CPU lists."""
    second_bytes = read_part(Path("/proc/kpageflags"))[1::8]
    return int(second_bytes.translate(BUDDY_DIGIT)[::-1], 2)


class Zone:
    """What /proc/zoneinfo says of one zone."""

    def __init__(self, text: str) -> None:
        def number(pattern: str) -> int:
            return int(re.search(pattern, text, re.M)[1])

        self.name = re.match(r"Node \d+, zone +\w+", text)[0]
        self.free = number(r"^ +pages free +(\d+)")
        self.present = number(r"^ +present +(\d+)")
        self.first = number(r"^ +start_pfn: +(\d+)") if self.present else 0
        self.end = self.first + number(r"^ +spanned +(\d+)")
        self.per_cpu = sum(map(int, re.findall(r"^ +count: +(\d+)", text, re.M)))


def zones() -> list[Zone]:
    """All zones that have memory."""
    text = Path("/proc/zoneinfo").read_text()
    return [zone for zone in map(Zone, re.split(r"^(?=Node )", text, flags=re.M)[1:]) if zone.present]


class Area:
    """Memory of this process that is locked, so that its pages stay what they are."""

    def __init__(self, pages: int) -> None:
        self.pages = pages
        self.map = mmap.mmap(-1, pages * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        # Page by page, from the CPU's lists, not in blocks of 2 MiB.
        self.map.madvise(mmap.MADV_NOHUGEPAGE)
        self.view = ctypes.c_char.from_buffer(self.map)
        self.address = ctypes.addressof(self.view)
        if libc.mlock(self.address, len(self.map)):
            raise OSError(ctypes.get_errno(), "mlock")
        ctypes.memset(self.address, 0x5A, len(self.map))

    def frames(self) -> int:
        """The page frame numbers of its pages, as one number."""
        with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
            data = os.pread(pagemap.fileno(), 8 * self.pages, self.address // PAGE * 8)
        entries = memoryview(data).cast("Q")
        return frame_set(entry & PM_PFN for entry in entries if entry & PM_PRESENT)

    def close(self) -> None:
        """Give the memory back."""
        del self.view
        self.map.close()


def frame_set(frames: Iterable[int]) -> int:
    """Page frame numbers as one number."""
    bits = bytearray()
    for frame in frames:
        if frame // 8 >= len(bits):
            bits.extend(bytes(frame // 8 + 1 - len(bits)))
        bits[frame // 8] |= 1 << frame % 8
    return int.from_bytes(bits, "little")
