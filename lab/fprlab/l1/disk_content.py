# SPDX-License-Identifier: GPL-2.0-only
"""The disk that the guest's workload disk reads: each page follows from its number."""

from pathlib import Path

PAGE = 4096
WORDS = PAGE // 8
MASK = (1 << 64) - 1
# As lab/l2/guest_disk.c has them.
WORD_FACTOR = 0x9e3779b97f4a7c15
PAGE_FACTOR = 0xbf58476d1ce4e5b9

# All words of a page at once, as one number.
PATTERN = sum((i * WORD_FACTOR & MASK) << 64 * i for i in range(WORDS))
ONES = sum(1 << 64 * i for i in range(WORDS))


def page(number: int) -> bytes:
    """The content of the page of that number."""
    return (PATTERN ^ ONES * ((number + 1) * PAGE_FACTOR & MASK)).to_bytes(PAGE, "little")


def write_disk(path: Path, mib: int) -> None:
    """Write an image of so many MiB."""
    with path.open("wb") as image:
        for number in range(mib * (1 << 20) // PAGE):
            image.write(page(number))
