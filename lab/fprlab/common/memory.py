# SPDX-License-Identifier: GPL-2.0-only
"""How much memory this machine has free."""

from pathlib import Path


def available_mib() -> int:
    """MiB that programs can get before it swaps, as proc(5) has MemAvailable."""
    meminfo = dict(line.split(":") for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
    return int(meminfo["MemAvailable"].split()[0]) >> 10
