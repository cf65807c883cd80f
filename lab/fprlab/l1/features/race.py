# SPDX-License-Identifier: GPL-2.0-only
"""The race in which stock hints lose a guest's write, as features like those of feature.py."""

import os
import time
from pathlib import Path
from typing import Sequence

from ..qmp import Qmp
from .feature import Feature

STARVED_BYTES = 128 << 20  # sent before hints are taken at once again


def many_chunks(_directory: Path, _incoming: bool) -> Sequence[str]:
    """KVM's log is cleared in chunks of 4 MiB, of which a guest of 512 MiB has as many
    as one of 128 GiB has of QEMU's 1 GiB."""
    return "-global", "migration.x-clear-bitmap-shift=10"


def schedule_hints(qmp: Qmp, policy: int) -> None:
    """Give the threads that take the guest's hints a scheduling policy."""
    for thread in qmp.execute("query-iothreads"):
        os.sched_setscheduler(thread["thread-id"], policy, os.sched_param(0))


def starve_hints(qmp: Qmp) -> None:
    """Let hints be taken only when no other thread wants the CPU, as on a busy host."""
    schedule_hints(qmp, os.SCHED_IDLE)


def feed_hints(qmp: Qmp) -> None:
    """Let hints be taken at once again, long before the guest is stopped: after that QEMU still
    writes to the queue, and that would not be sent any more. The moment is an amount of data
    that was sent, as times depend on the machine."""
    while True:
        info = qmp.execute("query-migrate")
        if info["status"] not in ("setup", "active") or info.get("ram", {}).get("transferred", 0) >= STARVED_BYTES:
            break
        time.sleep(0.05)
    schedule_hints(qmp, os.SCHED_OTHER)


CHUNKS = Feature("many-chunks", arguments=many_chunks)
# How soon hints are taken.
RACE_KINDS = {
    "prompt": (CHUNKS,),
    "waiting": (CHUNKS, Feature("starved-hints", before=starve_hints, during=feed_hints)),
}
