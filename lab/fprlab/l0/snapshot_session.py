# SPDX-License-Identifier: GPL-2.0-only
"""The lab's host (L1) for snapshots: what is built for it, and how it is booted."""

from ..common.names import TOP
from ..common.snapshot_tools import Tools
from .session import built

# As many times the guest's memory: two guests, and two chains in /tmp, which gets half of all memory. Diffs do not grow
# with the guest's memory, so above SMALL_MIB it is a guest, a full file, and another guest or the file's copy.
DISKS = 10
LARGE_DISKS = 3
SMALL_MIB = 512
HOST_MIB = 1536


def build_tools(programs: bool = False) -> Tools:
    """Build what is missing, the modules too, so that no boot waits for a build. With programs the guest has what
    PROGRAM_WORKLOADS need."""
    built("scripts/fetch-kernel")
    built("scripts/build-modules")
    return Tools(built("scripts/build-examples"), built("scripts/build-userspace"),
                 built("lab/build-guest", *["--programs"] * programs))


def tool_options(tools: Tools) -> list[str]:
    """The tools as options of lab/l1/snapshots and lab/tests/l1/snapshot_run."""
    return ["--examples", str(tools.examples), "--fprctl", str(tools.fprctl), "--guest", str(tools.guest)]


def host_mib(guest_mib: int) -> int:
    """Memory of L1 for a guest with so much."""
    small = min(guest_mib, SMALL_MIB)
    return HOST_MIB + DISKS * small + LARGE_DISKS * (guest_mib - small)


def host_command(guest_mib: int, timeout: int, command: list[str]) -> list[str]:
    """The command line of lab/run; why one CPU, fprlab.l0.session says."""
    return [str(TOP / "lab/run"), "--kvm", "modules", "--cpus", "1", "--memory", str(host_mib(guest_mib)),
            "--timeout", str(timeout), "--", *command]
