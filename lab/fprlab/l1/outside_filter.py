# SPDX-License-Identifier: GPL-2.0-only
"""fprctl filter --source pagemap beside a QEMU that knows nothing of it."""

import json
import shutil
import subprocess
import time
from typing import Any, Optional

from ..common.errors import LabError
from .features.feature import Side
from .kvm_stats import mount_debugfs
from .ram import find_ram

MIB = 1 << 20
# Where QEMU's machine "pc" ends its memory below 4 GiB, if there is as much.
LOW_MEMORY = 0xC0000000
LOW_MEMORY_MAX = 0xE0000000
NOT_YET = 4  # fprctl's exit status while no memory logs dirty pages
ENDED = ("completed", "failed", "cancelled")


def memory_map(address: int, size: int) -> str:
    """--map for a guest's RAM, which is in one piece in QEMU; the first MiB is not all RAM."""
    low = size if size < LOW_MEMORY_MAX else LOW_MEMORY
    ranges = [(MIB, address + MIB, low - MIB)]
    if low < size:
        ranges.append((1 << 32, address + low, size - low))
    return ",".join(f"{gpa:#x}:{hva:#x}:{length:#x}" for gpa, hva, length in ranges)


class OutsideFilter:
    """fprctl, which filters the dirty log of a migration's source once."""

    def __init__(self, fprctl: str, source: Side, size: int) -> None:
        if not shutil.which(fprctl):
            raise LabError(f"no {fprctl}: give the fprctl that scripts/build-userspace made with --fprctl")
        mount_debugfs()  # fprctl sees there whose a VM is
        where = memory_map(find_ram(source.qmp, source.pid, size).address, size)
        # Nothing takes memory back from these guests, so what is not populated never was.
        self._command = [fprctl, "filter", str(source.pid), "--source", "pagemap", "--zero-destination",
                         "--map", where, "--json"]
        self._source = source

    def filter(self) -> dict[str, Any]:
        """Filter as soon as QEMU logs dirty pages; returns counters by the names of QEMU's own."""
        while (done := subprocess.run(self._command, capture_output=True, text=True, check=False)).returncode:
            if done.returncode != NOT_YET:
                raise LabError(done.stderr.strip())
            if self._source.qmp.execute("query-migrate").get("status") in ENDED:
                raise LabError("the migration ended before its dirty log could be filtered")
            time.sleep(0.02)
        result = json.loads(done.stdout)
        return {"epochs": 1, "reports": 1,
                **{f"{name}-pages": result[f"{name}_pages"] for name in ("reported", "filtered", "confirmed")}}


def start_outside_filter(mode: str, fprctl: str, source: Side, size: int) -> Optional[OutsideFilter]:
    """The outside filter of the mode pagemap; None in the other modes."""
    return OutsideFilter(fprctl, source, size) if mode == "pagemap" else None
