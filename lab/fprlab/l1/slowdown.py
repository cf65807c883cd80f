# SPDX-License-Identifier: GPL-2.0-only
"""What a migration takes from its guest while it goes on: work, faults, and its agent's time."""

import dataclasses
from typing import Any, Optional

from .guest_port import Work
from .guest_qemu import GuestQemu
from .kvm_stats import write_faults


@dataclasses.dataclass(frozen=True)
class Before:
    """The counts before a migration."""

    work: Work
    write_faults: Optional[int]  # None without KVM


def count_before(source: GuestQemu, accel: str) -> Before:
    """To be called right before it starts."""
    return Before(source.port.work(), write_faults(source.pid) if accel == "kvm" else None)


def measured(before: Before, after: Work, faults: Optional[int]) -> dict[str, Any]:
    """Keys of a result: the workload's loops per second of the guest's own clock, which stands still with the guest, the
    agent's CPU time, and how often the source's vCPU wrote to a page that was write-protected."""
    seconds = (after.ms - before.work.ms) / 1000
    loops = after.loops - before.work.loops
    return {
        "loops_per_second": round(loops / seconds, 2) if loops and seconds > 0 else None,
        "agent_cpu_ms": round((after.agent_us - before.work.agent_us) / 1000, 1),
        "write_faults": None if faults is None or before.write_faults is None else faults - before.write_faults,
    }
