# SPDX-License-Identifier: GPL-2.0-only
"""The pages that QEMU says it dropped, from its free_page_filter_drop trace events."""

import re
from typing import Iterable

from ..common.errors import LabError

EVENT = "free_page_filter_drop"
DROP = re.compile(rf"\b{EVENT} block (\S+) first_page (\d+) npages (\d+)$")


def dropped_pages(lines: Iterable[str], block: str) -> set[int]:
    """Indexes of the pages of a RAMBlock that were dropped at any time."""
    pages: set[int] = set()
    for line in lines:
        if EVENT not in line:
            continue
        match = DROP.search(line.rstrip())
        if not match:
            raise LabError(f"unreadable trace event: {line.strip()!r}")
        if match.group(1) == block:
            first, npages = int(match.group(2)), int(match.group(3))
            pages.update(range(first, first + npages))
    return pages
