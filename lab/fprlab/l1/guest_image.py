# SPDX-License-Identifier: GPL-2.0-only
"""What a guest boots."""

from pathlib import Path

from ..common.names import PROGRAM_WORKLOADS


def initrd(guest: Path, workload: str) -> Path:
    """Of the directory that lab/build-guest prints."""
    return guest / ("initrd-programs.img" if workload in PROGRAM_WORKLOADS else "initrd.img")
