# SPDX-License-Identifier: GPL-2.0-only
"""A guest's memory after a migration: compared page by page, and checked by the guest."""

import dataclasses
import time

from ..common.errors import LabError, LostPages
from ..common.names import FILTER_MODES
from .drop_trace import dropped_pages
from .guest_port import Verified, Work, parse_work
from .guest_qemu import GuestQemu
from .migration_run import Run
from .ram import PAGE, GuestRam, differing_pages, differs_in_wall_clock_only, find_ram, first_difference, host_address

SECONDS_BETWEEN_CHECKS = 2.0


def memory_devices(side: GuestQemu) -> list[tuple[int, int]]:
    """Guest physical address and size of each DIMM and the like."""
    devices = [device["data"] for device in side.qmp.execute("query-memory-devices")]
    return sorted((device.get("addr", device.get("memaddr")), device.get("max-size", device["size"]))
                  for device in devices)


def compare_block(run: Run, source: GuestQemu, left: GuestRam, right: GuestRam, clock: int, traced: int) -> int:
    """How many pages differ. In plain mode none may; with the filter each must have
    been dropped, after so many bytes of the source's trace. Stock hints leave no record
    of what they dropped, so there the pages are counted and the guest's own checks have
    to do. The guest's clock is at this offset, which may lie in another block."""
    differing = differing_pages(left, right)
    if clock // PAGE in differing and differs_in_wall_clock_only(left, right, clock):
        differing.remove(clock // PAGE)
    stock_hints = run.mode == "hint" or run.mode == "filter-hint" and bool(run.blocked())
    if differing and not stock_hints:
        dropped: set[int] = set()
        if run.mode in FILTER_MODES:
            with (source.directory / "trace").open(encoding="utf-8", errors="replace") as trace:
                trace.seek(traced)
                dropped = dropped_pages(trace, left.block)
        lost = [page for page in differing if page not in dropped]
        if lost:
            raise LostPages(len(lost), f"{len(lost)} of {len(differing)} differing pages were not dropped; "
                            f"the first is {first_difference(left, right, lost[0])}")
    return len(differing)


def compare_ram(run: Run, source: GuestQemu, destination: GuestQemu, size: int,
                wall_clock: int, traced: int = 0) -> int:
    """The same for all of the guest's RAM; nodes and memory devices have blocks of their own. The
    guest's clock is at a guest physical address, or nowhere if that is 0."""
    devices = memory_devices(source)
    if devices != memory_devices(destination):
        raise LabError("the destination has other memory devices than the source")
    clock = host_address(source.qmp, wall_clock) if wall_clock else -1
    differing = 0
    for address, length in run.guest().blocks(size) + devices:
        left, right = (find_ram(side.qmp, side.pid, length, address) for side in (source, destination))
        differing += compare_block(run, source, left, right, clock - left.address, traced)
    return differing


def check_guest(checks: list[Verified]) -> None:
    """Every check saw pages, and none found a wrong one."""
    for check in checks:
        if check.wrong or check.total_wrong:
            raise LostPages(check.total_wrong, f"the guest found {check.total_wrong} wrong pages; first: {check.first}")
        if not check.pages:
            raise LabError("the guest had no page to check")


def lost_pages(run: Run, checks: list[Verified]) -> int:
    """How many pages the guest found wrong: with stock hints, and only where that was
    asked for, a result; else it is an error."""
    try:
        check_guest(checks)
    except LostPages as error:
        if run.may_lose and run.mode == "hint":
            return max(check.wrong for check in checks) or error.pages
        raise
    return 0


def check_twice(machine: GuestQemu, tag: str) -> list[Verified]:
    """The answer to a question that was sent, and one some time later."""
    first = machine.port.verified(tag)
    time.sleep(SECONDS_BETWEEN_CHECKS)
    machine.port.wait_beat()
    return [first, machine.port.verified(machine.port.send("verify"))]


@dataclasses.dataclass(frozen=True)
class Resumed:
    """What a guest tells when it goes on."""

    checks: list[Verified]
    work: Work  # until then
    free_map: int  # as GuestPort.free_map() tells it, 0 if that was not asked


def resume_and_check(destination: GuestQemu, free_map: bool = False) -> Resumed:
    """Let the guest go on and check twice. The first questions wait in the port when the guest starts: so what it has
    done until then is told before it does more, and its memory checked before much is overwritten."""
    asked = [destination.port.send(question) for question in ("work", *["map"] * free_map, "verify")]
    destination.qmp.execute("cont")
    work = parse_work(destination.port.wait_for(f"{asked[0]} "))
    address = int(destination.port.wait_for(f"{asked[1]} ")) if free_map else 0
    return Resumed(check_twice(destination, asked[-1]), work, address)


def boot_and_check(destination: GuestQemu) -> list[Verified]:
    """Let a guest that has hardly begun to boot go on, and check twice as soon as it can."""
    destination.qmp.execute("cont")
    destination.port.wait_for("ready")
    return check_twice(destination, destination.port.send("verify"))


def check_crashed(source: GuestQemu) -> list[Verified]:
    """A guest that has crashed checks nothing, which leaves the comparison of its RAM."""
    if not source.trouble():
        raise LabError("the guest did not crash")
    return []


def check_consoles(machines: list[GuestQemu]) -> None:
    """No trouble in any guest's log."""
    for machine in machines:
        line = machine.trouble()
        if line:
            raise LabError(f"the guest's kernel says on the {machine.directory.name}: {line}")
