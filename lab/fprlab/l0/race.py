# SPDX-License-Identifier: GPL-2.0-only
"""The race in which stock hints lose a guest's write: how it is run, and what came of it."""

import json
import os
import time
from pathlib import Path
from typing import Any, Sequence

from ..common.names import RACE_WORKLOAD
from ..l1.features.feature import Feature
from ..l1.qmp import Qmp
from .plan import Plan

MODES = ("hint", "filter-hint", "filter-report")
# Of lab/l1/migrate. With the cap pages stay dirty for long enough to be hinted and filled.
OPTIONS = ["--race", "waiting", "--bandwidth", "32"]
STARVED_BYTES = 128 << 20  # sent before hints are taken as ever


def many_chunks(_directory: Path, _incoming: bool) -> Sequence[str]:
    """KVM's log is cleared in chunks of 4 MiB, of which a guest of 512 MiB has as many
    as one of 128 GiB has of QEMU's 1 GiB."""
    return "-global", "migration.x-clear-bitmap-shift=10"


def schedule_hints(qmp: Qmp, policy: int) -> None:
    """Give the threads that take the guest's hints a scheduling policy."""
    for thread in qmp.execute("query-iothreads"):
        os.sched_setscheduler(thread["thread-id"], policy, os.sched_param(0))


def starve_hints(qmp: Qmp) -> None:
    """Hints are taken when no other thread wants the CPU, as it may be on a busy host."""
    schedule_hints(qmp, os.SCHED_IDLE)


def feed_hints(qmp: Qmp) -> None:
    """They are taken as ever long before the guest is stopped: QEMU writes to the queue
    even after that, where it is no longer sent. How much was sent says when, for a slow
    machine needs longer for everything."""
    while True:
        info = qmp.execute("query-migrate")
        if info["status"] not in ("setup", "active") or info.get("ram", {}).get("transferred", 0) >= STARVED_BYTES:
            break
        time.sleep(0.05)
    schedule_hints(qmp, os.SCHED_OTHER)


CHUNKS = Feature("many-chunks", arguments=many_chunks)
# How soon hints are taken.
KINDS = {
    "prompt": (CHUNKS,),
    "waiting": (CHUNKS, Feature("starved-hints", before=starve_hints, during=feed_hints)),
}


def plan(repeat: int) -> Plan:
    """Each mode in turn, so often."""
    return Plan(workloads=(RACE_WORKLOAD,), modes=MODES, repeat=repeat, guest_mib=512)


def row(mode: str, results: list[dict[str, Any]]) -> dict[str, Any]:
    """The runs of a mode in which the guest came to its checks."""
    lost = [result["lost_pages"] for result in results if result["mode"] == mode and "lost_pages" in result]
    return {"mode": mode, "runs": len(lost), "runs_that_lost": sum(map(bool, lost)), "pages_lost": sum(lost)}


def refused_pages(mode: str, results: list[dict[str, Any]]) -> int:
    """Pages that a mode's runs named free and that were in use again."""
    return sum(result["reported_pages"] - result["confirmed_pages"]
               for result in results if result["mode"] == mode and result["verified"])


def write_rows(path: Path, results: list[dict[str, Any]]) -> None:
    """out/race.json."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps([row(mode, results) for mode in MODES], indent=1) + "\n", encoding="ascii")
