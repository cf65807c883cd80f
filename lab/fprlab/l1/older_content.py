# SPDX-License-Identifier: GPL-2.0-only
"""What a page that was dropped reads as on the destination: zero, or what the guest had there earlier.

The lab does not know when a page was sent. So it judges three kinds of pages, each as strictly as it can:

* A page that nobody has written since the migration began reads as zero or as in a copy of the source's memory, which is
  made just before. That nobody has written it is taken from its content at the source, which is still that of the copy:
  with the workloads of UNIQUE no content but zeros comes twice at one place.
* A page that was written since may have been sent with any content that it had meanwhile, or with parts of two. If
  the workload has filled it, as nearly all that a busy guest drops, that is recognised (guest_fill.py). It is content
  that this guest has written to a page which it frees; whether to this very page is not known.
* Any other content may be what the guest's kernel and agent wrote meanwhile. Such pages are counted as unknown. A guest
  that stands still has few of them.

Not judged are the other differing pages of guests that boot meanwhile, or that are larger than COPY_MAX_MIB, for
there is no copy; and all pages of guests that go on at the destination at once, and of migrations with stock hints, which
leave no record.
"""

import dataclasses
import itertools
import mmap
from typing import Optional, Sequence

from ..common.errors import LostPages
from .guest_fill import is_fill
from .ram import CHUNK, PAGE, ZEROS, ChunkReader, GuestRam, first_difference, read_page

COPY_MAX_MIB = 1024  # the lab's host has room for another guest of that size
ZERO = ZEROS[:PAGE]
# Nothing is written twice at one place: not what is filled, and not what a kernel has that starts no processes.
UNIQUE = ("idle", "freed", "frag", "churn")
# They have done all that they do before the migration, but for one check a second.
STANDING_STILL = ("idle", "freed", "frag")
MAX_UNKNOWN = 64


@dataclasses.dataclass
class Differing:
    """How many pages differ from the source's, by what the destination has there."""

    zero: int = 0
    older: int = 0    # as in the copy
    filled: int = 0   # what the workload fills pages with
    unknown: int = 0
    unjudged: int = 0  # there is no copy

    def pages(self) -> int:
        """All of them."""
        return self.zero + self.older + self.filled + self.unknown + self.unjudged

    def add(self, other: "Differing") -> None:
        """Count those of another block, too."""
        for field in dataclasses.fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))


def copy_ram(ram: GuestRam) -> mmap.mmap:
    """The content of a block, at a moment of its own for each page if the guest runs. What its QEMU has not mapped counts
    as zero, and stays so: a migration is not to find more memory than there was."""
    copy = mmap.mmap(-1, ram.size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    reader = ChunkReader(ram, mapped_only=True)
    try:
        for offset in range(0, ram.size, CHUNK):
            # What was never written takes no memory.
            if reader.read(offset) and reader.buffer != ZEROS:
                copy[offset:offset + CHUNK] = bytes(reader.buffer)
    finally:
        reader.close()
    return copy


class Judge:
    """Looks at the pages of one block that differ."""

    def __init__(self, workload: str, npages: int, source: GuestRam, destination: GuestRam,
                 copy: Optional[mmap.mmap]) -> None:
        self._workload = workload
        self._npages = npages  # of the guest, in all blocks
        self._source = source
        self._destination = destination
        self._copy = copy
        self.found = Differing()

    def look(self, pages: Sequence[int]) -> Differing:
        """At all of them, which are in order; LostPages if the destination has what the guest never had there."""
        reader = ChunkReader(self._destination)
        try:
            for chunk, group in itertools.groupby(pages, lambda page: page * PAGE // CHUNK):
                populated = reader.read(chunk * CHUNK)
                for page in group:
                    start = page * PAGE - chunk * CHUNK
                    content = bytes(reader.buffer[start:start + PAGE]) if populated else ZERO
                    if content == ZERO:
                        self.found.zero += 1
                    else:
                        self._look_at(page, content)
        finally:
            reader.close()
        return self.found

    def _look_at(self, page: int, content: bytes) -> None:
        before = None if self._copy is None else self._copy[page * PAGE:(page + 1) * PAGE]
        if content == before:
            self.found.older += 1
        elif before not in (None, ZERO) and self._workload in UNIQUE and before == read_page(self._source, page):
            raise LostPages(1, "the destination has neither zeros nor what the guest has there, and had before the "
                               f"migration: {first_difference(self._source, self._destination, page)}")
        elif is_fill(content, self._workload, self._npages):
            self.found.filled += 1
        elif before is not None:
            self.found.unknown += 1
        else:
            self.found.unjudged += 1


def check_standing_still(workload: str, found: Differing) -> None:
    """A guest that does nothing has hardly written a page and freed it again while it was migrated."""
    if workload in STANDING_STILL and found.unknown > MAX_UNKNOWN:
        raise LostPages(found.unknown, f"{found.unknown} dropped pages read as something that this guest, which stands "
                                       "still, did not have there before the migration")
