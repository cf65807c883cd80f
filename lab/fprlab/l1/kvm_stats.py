# SPDX-License-Identifier: GPL-2.0-only
"""What KVM counts of a VM, in debugfs."""

import subprocess
from pathlib import Path

from ..common.errors import LabError

DEBUGFS = Path("/sys/kernel/debug")
# Faults of a vCPU on a page that was mapped and only write-protected: the way without mmu_lock mends these.
WRITE_FAULTS = "pf_fast"


def mount_debugfs() -> None:
    """Mount debugfs, if KVM's part of it is not there."""
    if not (DEBUGFS / "kvm").exists():
        subprocess.run(["mount", "-t", "debugfs", "debugfs", DEBUGFS], check=True)


def write_faults(pid: int) -> int:
    """Of the only VM of a process, since it began."""
    mount_debugfs()
    files = list((DEBUGFS / "kvm").glob(f"{pid}-*/{WRITE_FAULTS}"))
    if len(files) != 1:
        raise LabError(f"process {pid} has {len(files)} VMs with {WRITE_FAULTS} in KVM's part of debugfs")
    return int(files[0].read_text(encoding="ascii"))
