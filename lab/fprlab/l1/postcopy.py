# SPDX-License-Identifier: GPL-2.0-only
"""A migration that goes over to postcopy, and what may happen to it then."""

import time
from typing import Optional

from ..common.errors import LabError
from .drop_trace import dropped_pages
from .features.feature import Postcopy
from .features.holding import wait_held
from .features.memory import filter_info
from .guest_qemu import GuestQemu
from .network import Network
from .ram import PAGE, find_ram
from .stage import Stage
from .waiting import wait_until

LITTLE_LEFT = 8 << 20   # bytes of the first round, before whose end the migration is slowed down
SLOW = 512 << 10    # bytes a second: a round of the few pages that a guest at work needs takes its time
BROKEN_AFTER = 1 << 20  # bytes that came in postcopy before the connection breaks
TOUCHED = 64  # pages
SOURCE, DESTINATION = 0, 1  # as hosts of a Network


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
    if how.moment == "rounds":
        wait_second_round(source)
        return
    wait_held(source.qmp, "it is active", lambda: status_of(source) == "active")
    # Without the filter there are no such figures.
    if how.moment == "report" and filter_info(source.qmp):
        wait_held(source.qmp, "pages were dropped", lambda: filter_info(source.qmp).get("dropped-pages"))


def wait_devices(destination: GuestQemu) -> None:
    """Wait until the destination could run the guest. Before that it gives up where a connection breaks, with the filter
    or without."""
    wait_until("the destination has the devices' state",
               lambda: destination.qmp.execute("query-status")["status"] != "inmigrate")


def touch_dropped(source: GuestQemu, destination: GuestQemu) -> None:
    """Read dropped pages at a destination that stands still, as its guest would: they are asked for and come. What they
    read as is what they hold until all memory is compared."""
    wait_devices(destination)
    block = find_ram(source.qmp, source.pid, 1).block
    with (source.directory / "trace").open(encoding="utf-8", errors="replace") as trace:
        pages = sorted(dropped_pages(trace, block))
    for page in pages[::len(pages) // TOUCHED + 1]:
        # Below the hole a page has the same place in the block and in the guest.
        destination.qmp.execute("pmemsave", val=page * PAGE, size=PAGE, filename=str(destination.directory / "page"))


def wait_middle(source: GuestQemu, destination: GuestQemu) -> None:
    """Wait until some memory has come in postcopy."""
    wait_devices(destination)
    wait_until("some memory has come in postcopy",
               lambda: source.qmp.execute("query-migrate")["ram"]["postcopy-bytes"] > BROKEN_AFTER)


def wait_paused(side: GuestQemu) -> None:
    """Wait until an end knows that the connection is broken."""
    wait_until(f"postcopy is paused at the {side.directory.name}", lambda: status_of(side) == "postcopy-paused")


def recover(source: GuestQemu, destination: GuestQemu, uri: str) -> None:
    """Give both ends another connection, which need not be slow."""
    destination.qmp.execute_out_of_band("migrate-recover", uri=uri)
    source.qmp.execute("migrate-set-parameters", max_postcopy_bandwidth=0)
    source.qmp.execute("migrate", uri=uri, resume=True)


def break_connection(source: GuestQemu, destination: GuestQemu, uri: str) -> None:
    """Both ends lose the connection in the middle, and are given another one."""
    wait_middle(source, destination)
    source.qmp.execute_out_of_band("migrate-pause")
    for side in (source, destination):
        wait_paused(side)
    recover(source, destination, f"{uri}-again")


def cut_network(source: GuestQemu, destination: GuestQemu, network: Network) -> None:
    """The cable is out until TCP gives up at the source. A destination that sends nothing does not notice, so its operator
    pauses it. When the cable is back, both ends are given another connection."""
    network.give_up_soon(SOURCE)
    wait_middle(source, destination)
    network.cut(SOURCE)
    wait_paused(source)
    if status_of(destination) != "postcopy-active":
        raise LabError(f"the destination is {status_of(destination)} while the cable is out")
    destination.qmp.execute_out_of_band("migrate-pause")
    wait_paused(destination)
    network.join(SOURCE)
    recover(source, destination, network.uri(DESTINATION))


def go_over(source: GuestQemu, destination: GuestQemu, how: Postcopy, uri: str, stage: Stage,
            network: Optional[Network] = None) -> float:
    """Go over to postcopy at the moment that was chosen; returns when that was, by time.monotonic()."""
    wait_moment(source, how)
    stage.enter("migrating in postcopy")
    begin = time.monotonic()
    source.qmp.execute("migrate-start-postcopy")
    if how.touches:
        touch_dropped(source, destination)
    if how.cut and network:
        cut_network(source, destination, network)
    elif how.breaks:
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
