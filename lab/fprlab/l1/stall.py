# SPDX-License-Identifier: GPL-2.0-only
"""Migrations into a network that takes nothing. While a report waits for the thread that
cannot send, QEMU's monitor answers, and objects that ask are added and removed."""

import contextlib
import dataclasses
import socket
import time
from pathlib import Path
from typing import Any, Callable

from ..common.errors import LabError
from .agents.misbehaving import BEHAVIOURS, MisbehavingAgent, lie
from .guest_qemu import GuestQemu, QemuSettings
from .migration_control import configure
from .migration_run import Run
from .stage import Stage, time_limit
from .verification import check_consoles, check_guest, check_twice
from .waiting import wait_until

# What the run has as its agent's name
STUCK = "network-stuck"
# The object that the source has from the beginning; its agent never answers a request with an epoch
SILENT = "report0"
# Another one, whose agent answers at once
QUICK = "report1"
WAIT_MS = 10000
MONITOR_LIMIT = 30.0  # seconds; a command takes milliseconds, or until TCP gives up
STILL = 1.0  # seconds without a page


class Stuck:
    """A guest whose migrations get nowhere."""

    def __init__(self, run: Run, settings: QemuSettings, directory: Path, stack: contextlib.ExitStack) -> None:
        self._run = run
        self._nowhere = directory / "nowhere"
        npages = settings.guest_mib << 8
        self.silent = MisbehavingAgent(directory / "agent", BEHAVIOURS["silent"], npages)
        stack.callback(self.silent.end)
        self.quick = MisbehavingAgent(directory / "quick", lie, npages)
        stack.callback(self.quick.end)
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(self._nowhere))
        listener.listen()
        settings = dataclasses.replace(settings, report=f"wait-first-report={WAIT_MS}")
        self.source = GuestQemu(settings, run.guest(), directory / "source", agent=directory / "agent")
        stack.callback(self.source.end)
        self.source.port.wait_for("ready")
        self.execute("chardev-add", id="quick", backend={"type": "socket", "data": {
            "addr": {"type": "unix", "data": {"path": str(directory / "quick")}}, "server": False}})

    def execute(self, command: str, **arguments: Any) -> Any:
        """A command of the monitor."""
        return self.source.qmp.execute(command, **arguments)

    def counters(self) -> dict[str, Any]:
        """What the filter has done in the current migration."""
        return self.execute("query-migrate")["free-page-filter"]

    def begin(self) -> None:
        """A migration into nothing."""
        configure(self.source, self._run)
        self.execute("migrate", uri=f"unix:{self._nowhere}")

    def wait_stuck(self) -> None:
        """Until pages were sent and no more can be."""
        seen, since = 0, time.monotonic()
        while not seen or time.monotonic() - since < STILL:
            pages = self.execute("query-migrate").get("ram", {}).get("normal", 0)
            if pages != seen:
                seen, since = pages, time.monotonic()
            time.sleep(0.05)

    def cancel(self) -> None:
        """End it."""
        self.execute("migrate_cancel")
        wait_until("the migration is cancelled", lambda: self.execute("query-migrate")["status"] == "cancelled")


def remove_beside_another(guest: Stuck) -> None:
    """The migration waits for the silent agent, until its object goes; the quick one's stays."""
    guest.execute("object-add", qom_type="free-page-agent", id=QUICK, chardev="quick")
    wait_until("both agents are there", lambda: all(guest.execute(
        "qom-get", path=f"/objects/{name}", property="agent-present") for name in (SILENT, QUICK)))
    guest.begin()
    wait_until("both agents were asked", lambda: guest.silent.requests > 1 and guest.quick.requests > 1)
    guest.execute("object-del", id=SILENT)
    guest.wait_stuck()
    if (waited := guest.counters()["waited-ms"]) >= WAIT_MS:
        raise LabError(f"the migration waited {waited} ms for a report of an object that was removed")
    guest.cancel()


def remove_while_stuck(guest: Stuck) -> None:
    """A report is to be used, and whoever has to let that happen cannot send.

    It is the first one, which comes when all stands still: the next one is asked for after 67 times as long as the first
    took, which can be minutes on a busy machine."""
    before = guest.quick.in_epochs
    guest.quick.may_answer.clear()
    guest.begin()
    wait_until("the quick agent was asked in an epoch", lambda: guest.quick.in_epochs > before)
    guest.wait_stuck()
    guest.quick.may_answer.set()
    wait_until("the quick agent has answered", lambda: guest.quick.answered == guest.quick.requests)
    for command in ("query-status", "query-migrate"):
        guest.execute(command)
    guest.execute("object-del", id=QUICK)
    guest.cancel()


def add_in_the_middle(guest: Stuck) -> None:
    """The counters are those of the migration that goes on, in which nobody was asked yet."""
    guest.begin()
    guest.wait_stuck()
    guest.execute("object-add", qom_type="free-page-agent", id=QUICK, chardev="quick")
    counters = guest.counters()
    rounds = [value for each in counters.pop("rounds") for name, value in each.items() if name != "round"]
    if any(counters.values()) or any(rounds):
        raise LabError(f"an object that came in the middle of a migration has counters: {counters}, {rounds}")
    guest.execute("object-del", id=QUICK)
    guest.cancel()


def migrate_into_nothing(run: Run, settings: QemuSettings, directory: Path,
                         show: Callable[[str], None]) -> dict[str, Any]:
    """Such migrations, after which the guest is where it was."""
    stage = Stage(run.label, show)
    with contextlib.ExitStack() as stack:
        stack.enter_context(time_limit(run.timeout, stage))
        stage.enter("starting the guest")
        guest = Stuck(run, settings, directory, stack)
        guest.source.qmp.limit(MONITOR_LIMIT)
        for name, step in (("removing an object beside another one", remove_beside_another),
                           ("removing an object whose report waits", remove_while_stuck),
                           ("adding an object in the middle", add_in_the_middle)):
            stage.enter(name)
            step(guest)
        stage.enter("checking the guest, which stays")
        checks = check_twice(guest.source, guest.source.port.send("verify"))
        check_guest(checks)
        check_consoles([guest.source])
        stage.enter("verified")
    return {"workload": run.workload, "mode": run.mode, "repeat": run.repeat, "verified": True,
            "verified_pages": [check.pages for check in checks], "features": []}
