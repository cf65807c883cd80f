# SPDX-License-Identifier: GPL-2.0-only
"""A migration whose destination is killed in postcopy. The guest has run there, or might have: it is lost, with the
filter or without, and must not run at the source again."""

import contextlib
import time
from pathlib import Path
from typing import Any, Callable

from ..common.errors import LabError
from .features.sending import reports
from .filter_check import check_rounds
from .guest_qemu import QemuSettings
from .migration import start_guests
from .migration_control import start_migration, uri_of
from .migration_run import Run
from .postcopy import status_of, wait_middle, wait_moment
from .stage import Stage, time_limit
from .waiting import wait_until

STILL = 2.0  # seconds for which the guest is watched


def migrate_and_lose(run: Run, settings: QemuSettings, directory: Path, show: Callable[[str], None]) -> dict[str, Any]:
    """One migration up to there, and the source's end; LabError if anything is wrong with it."""
    stage = Stage(run.label, show)
    uri = uri_of(run, directory)
    postcopy = run.postcopy()
    assert postcopy
    with contextlib.ExitStack() as stack:
        stack.enter_context(time_limit(run.timeout, stage))
        stage.enter("starting the guest")
        source, destination = start_guests(run, settings, directory, stack)
        stage.enter("migrating")
        start_migration(source, destination, run, uri)
        wait_moment(source, postcopy)
        source.qmp.execute("migrate-start-postcopy")
        wait_middle(source, destination)
        stage.enter("the destination is killed")
        destination.end()
        wait_until("postcopy is paused", lambda: status_of(source) == "postcopy-paused")
        end = time.monotonic() + STILL
        while time.monotonic() < end:
            state = source.qmp.execute("query-status")
            if state["running"]:
                raise LabError(f"the guest runs at the source: {state}")
            time.sleep(0.05)
        counters = source.qmp.execute("query-migrate").get("free-page-filter")
        if counters:
            check_rounds(counters)
        stage.enter("ending the source")
        if reports(source.qmp):
            source.qmp.execute("object-del", id="report0")
        source.qmp.execute("quit")
        wait_until("the source has ended", lambda: not source.alive())
        stage.enter("verified")
    return {"workload": run.workload, "mode": run.mode, "repeat": run.repeat, "verified": True, "verified_pages": [1],
            "blocked": "the guest did not run at the source again",
            "features": [feature.name for feature in run.features]}
