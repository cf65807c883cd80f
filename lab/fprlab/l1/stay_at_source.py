# SPDX-License-Identifier: GPL-2.0-only
"""Migrations after which the guest is still at the source, where it is checked: those that
are cancelled, and snapshots of a guest that goes on."""

import contextlib
import time
from pathlib import Path
from typing import Any, Callable

from ..common.errors import LabError
from .guest_qemu import GuestQemu, QemuSettings
from .filter_check import check_filter
from .migration import start_guests
from .migration_control import ENDS, start_migration, uri_of, wait_completed, wait_loaded
from .migration_run import Run
from .stage import Stage, time_limit
from .verification import check_consoles, check_guest, check_twice, resume_and_check


def cancel(source: GuestQemu) -> dict[str, Any]:
    """Cancel a migration that goes on; returns what query-migrate said before that. With a return path QEMU may say
    that it has failed: migrate_cancel ends the connection before it sets the state."""
    while (info := source.qmp.execute("query-migrate")).get("status") != "active":
        time.sleep(0.01)
    source.qmp.execute("migrate_cancel")
    while (end := source.qmp.execute("query-migrate")["status"]) not in ENDS:
        time.sleep(0.05)
    if end == "completed":
        raise LabError("the migration completed before it was cancelled")
    return info


def migrate_and_stay(run: Run, settings: QemuSettings, directory: Path, show: Callable[[str], None]) -> dict[str, Any]:
    """One migration, or its beginning; LabError if anything is wrong with it."""
    stage = Stage(run.label, show)
    uri = uri_of(run, directory)
    snapshot = any(feature.snapshot for feature in run.features)
    with contextlib.ExitStack() as stack:
        stack.enter_context(time_limit(run.timeout, stage))
        stage.enter("starting the guest")
        source, destination = start_guests(run, settings, directory, stack)
        stage.enter("migrating")
        start_migration(source, destination, run, uri)
        counters = check_filter(run, wait_completed(source, stage) if snapshot else cancel(source), source)

        stage.enter("checking the guest, which stays")
        checks = check_twice(source, source.port.send("verify"))
        if snapshot:
            wait_loaded(destination, run, uri)
            checks += resume_and_check(destination).checks
        check_guest(checks)
        check_consoles([source, destination])
        stage.enter("verified")
    return {"workload": run.workload, "mode": run.mode, "repeat": run.repeat, "verified": True,
            "verified_pages": [check.pages for check in checks], "blocked": run.refused() or counters["blocked-text"],
            "features": [feature.name for feature in run.features]}
