# SPDX-License-Identifier: GPL-2.0-only
"""A migration that goes over to postcopy, and what may happen to it then."""

import time

from ..common.errors import LabError
from .features.feature import Postcopy
from .features.holding import wait_held
from .features.memory import filter_info
from .features.sending import reports
from .guest_qemu import GuestQemu
from .stage import Stage
from .waiting import wait_until

LITTLE_LEFT = 8 << 20   # bytes of the first round, before whose end the migration is slowed down
SLOW = 512 << 10    # bytes a second: a round of the few pages that a guest at work needs takes its time
BROKEN_AFTER = 1 << 20  # bytes that came in postcopy before the connection breaks


def status_of(side: GuestQemu) -> str:
    """What query-migrate says, also of a QEMU whose main loop waits for memory."""
    return side.qmp.execute("query-migrate").get("status", "none")


def wait_second_round(source: GuestQemu) -> None:
    """Wait until the first round is over, and see to it that the second one is not the last: what a filter leaves of
    it may be sent in no time."""
    def ram() -> dict[str, int]:
        return source.qmp.execute("query-migrate").get("ram", {})
    wait_held(source.qmp, "little was left of the first round", lambda: ram().get("remaining", LITTLE_LEFT) < LITTLE_LEFT)
    source.qmp.execute("migrate-set-parameters", max_bandwidth=SLOW)
    wait_held(source.qmp, "the second round had begun", lambda: ram()["dirty-sync-count"] >= 2)


def wait_moment(source: GuestQemu, how: Postcopy) -> None:
    """Wait until the migration is where it is to go over."""
    if how.moment == "report" and reports(source.qmp):
        wait_held(source.qmp, "pages were dropped", lambda: filter_info(source.qmp).get("dropped-pages"))
    elif how.moment == "rounds":
        wait_second_round(source)
    else:
        wait_held(source.qmp, "it is active", lambda: status_of(source) == "active")


def wait_middle(source: GuestQemu, destination: GuestQemu) -> None:
    """Wait until some memory has come in postcopy."""
    # Before it has the devices' state a destination gives up, with the filter or without.
    wait_until("the destination has the devices' state",
               lambda: destination.qmp.execute("query-status")["status"] != "inmigrate")
    wait_until("some memory has come in postcopy",
               lambda: source.qmp.execute("query-migrate")["ram"]["postcopy-bytes"] > BROKEN_AFTER)


def break_connection(source: GuestQemu, destination: GuestQemu, uri: str) -> None:
    """Both ends lose the connection in the middle, and are given another one."""
    wait_middle(source, destination)
    source.qmp.execute_out_of_band("migrate-pause")
    for side in (source, destination):
        wait_until("postcopy is paused", lambda side=side: status_of(side) == "postcopy-paused")
    again = f"{uri}-again"
    destination.qmp.execute_out_of_band("migrate-recover", uri=again)
    source.qmp.execute("migrate-set-parameters", max_postcopy_bandwidth=0)
    source.qmp.execute("migrate", uri=again, resume=True)


def go_over(source: GuestQemu, destination: GuestQemu, how: Postcopy, uri: str, stage: Stage) -> float:
    """Go over to postcopy at the moment that was chosen; returns when that was, by time.monotonic()."""
    wait_moment(source, how)
    stage.enter("migrating in postcopy")
    begin = time.monotonic()
    source.qmp.execute("migrate-start-postcopy")
    if how.breaks:
        break_connection(source, destination, uri)
    return begin


def go_over_at(source: GuestQemu, end: float) -> bool:
    """The same at a time; False if the migration has not lasted as long."""
    while time.monotonic() < end:
        time.sleep(0.02)
    status = status_of(source)
    if status == "failed":
        raise LabError("the migration failed before it could go over to postcopy")
    if status == "completed":
        return False
    source.qmp.execute("migrate-start-postcopy")
    return True
