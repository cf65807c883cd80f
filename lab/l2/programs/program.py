# SPDX-License-Identifier: GPL-2.0-only
"""What the workloads of this directory share: how they work, are asked and answer, and data that can be checked.

Each of them drives a program that nobody here wrote. PID 1 (l2/guest_program.c) starts it with the guest's memory in
MiB as its argument, waits for the line "steady", and asks with the line "verify". The answer is
"verified PAGES WRONG": how many pages' worth of data was checked, and how many of them were wrong.
"""

import hashlib
import mmap
import select
import struct
import sys
from collections.abc import Callable
from pathlib import Path

PAGE = 4096
LOOPS = "/loops"  # as l2/guest_program.c has it

Check = tuple[int, int]  # bytes that were looked at, and how many of them, by whole records, were wrong


def scaled(of_a_gib: int) -> int:
    """A number for a guest of 1 GiB, in proportion to this guest's memory."""
    return of_a_gib * int(sys.argv[1]) // 1024


def content(seed: str, size: int) -> bytes:
    """Bytes that follow from a text alone, and differ for every one. A multiple of 32."""
    return hashlib.blake2b(seed.encode("ascii"), digest_size=32).digest() * (size // 32)


def answer(check: Callable[[], Check]) -> None:
    """Answer the question that waits; PID 1 that is gone ends this, too."""
    if sys.stdin.readline() != "verify\n":
        sys.exit("an unknown question")
    looked_at, wrong = check()
    print("verified", -(-looked_at // PAGE), -(-wrong // PAGE), flush=True)


def run(work: Callable[[], int], check: Callable[[], Check]) -> None:
    """Work without an end, a unit at a time, which says how much it was; check between two units when that is asked for."""
    with Path(LOOPS).open("r+b") as file, mmap.mmap(file.fileno(), PAGE) as page:
        loops = 0
        print("steady", flush=True)
        while True:
            if select.select([sys.stdin], [], [], 0)[0]:
                answer(check)
            loops += work()
            struct.pack_into("=Q", page, 0, loops)
