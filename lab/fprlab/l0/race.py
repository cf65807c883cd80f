# SPDX-License-Identifier: GPL-2.0-only
"""The race in which stock hints lose a guest's write: which migrations, and what came of them."""

import json
from pathlib import Path
from typing import Any

from ..common.names import RACE_WORKLOAD
from .plan import MigrationPlan

FILTERED = ("filter-hint", "filter-report")
MODES = ("hint", *FILTERED)
OPTIONS = ["--race", "waiting"]  # of lab/l1/migrate


def plan(repeat: int) -> MigrationPlan:
    """Migrations of the race, so many in each mode."""
    return MigrationPlan(workloads=(RACE_WORKLOAD,), modes=MODES, repeat=repeat, guest_mib=512)


def row(mode: str, results: list[dict[str, Any]]) -> dict[str, Any]:
    """The runs of a mode in which the guest came to its checks."""
    lost = [result["lost_pages"] for result in results if result["mode"] == mode and "lost_pages" in result]
    return {"mode": mode, "runs": len(lost), "runs_that_lost": sum(map(bool, lost)), "pages_lost": sum(lost)}


def refused_pages(mode: str, results: list[dict[str, Any]]) -> int:
    """Pages that a mode's runs named free and that were in use again."""
    return sum(result["reported_pages"] - result["confirmed_pages"]
               for result in results if result["mode"] == mode and result["verified"])


def write_rows(path: Path, results: list[dict[str, Any]]) -> None:
    """Write out/race.json."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps([row(mode, results) for mode in MODES], indent=1) + "\n", encoding="ascii")
