# SPDX-License-Identifier: GPL-2.0-only
"""A guest's memory after a migration: compared page by page, and checked by the guest."""

import dataclasses
import mmap
import time
from types import MappingProxyType
from typing import Mapping

from ..common.errors import LabError, LostPages
from ..common.names import FILTER_MODES
from .drop_trace import dropped_pages
from .guest_port import Verified, Work, parse_work
from .guest_qemu import GuestQemu
from .migration_run import Run
from .older_content import COPY_MAX_MIB, Differing, Judge, check_standing_still, copy_ram
from .ram import PAGE, GuestRam, differing_pages, differs_in_wall_clock_only, find_ram, first_difference, host_address

SECONDS_BETWEEN_CHECKS = 2.0


def memory_devices(side: GuestQemu) -> list[tuple[int, int]]:
    """Guest physical address and size of each DIMM and the like."""
    devices = [device["data"] for device in side.qmp.execute("query-memory-devices")]
    return sorted((device.get("addr", device.get("memaddr")), device.get("max-size", device["size"]))
                  for device in devices)


def stock_hints(run: Run) -> bool:
    """Whether pages may be dropped by stock hints, which leave no record of it."""
    return run.mode == "hint" or run.mode == "filter-hint" and bool(run.blocked())


def blocks_of(run: Run, side: GuestQemu, size: int) -> list[tuple[int, int]]:
    """Guest physical address and size of all that is the guest's RAM; nodes and memory devices have blocks of their
    own."""
    return run.guest().blocks(size) + memory_devices(side)


# Of the source, by the names of its blocks.
Copies = Mapping[str, mmap.mmap]


def copy_memory(run: Run, source: GuestQemu, size: int) -> Copies:
    """A copy of the guest's memory just before a migration, if compare_ram() can use one."""
    judged = run.mode in FILTER_MODES and not (stock_hints(run) or run.runs_on() or run.early())
    if not judged or size > COPY_MAX_MIB << 20:
        return {}
    rams = [find_ram(source.qmp, source.pid, length, address) for address, length in blocks_of(run, source, size)]
    return {ram.block: copy_ram(ram) for ram in rams}


def check_dropped(run: Run, source: GuestQemu, left: GuestRam, right: GuestRam, differing: list[int],
                  traced: int) -> None:
    """In plain mode no page may differ, with the filter each that does must have been dropped, after so many bytes of
    the source's trace."""
    dropped: set[int] = set()
    if differing and run.mode in FILTER_MODES:
        with (source.directory / "trace").open(encoding="utf-8", errors="replace") as trace:
            trace.seek(traced)
            dropped = dropped_pages(trace, left.block)
    lost = [page for page in differing if page not in dropped]
    if lost:
        raise LostPages(len(lost), f"{len(lost)} of {len(differing)} differing pages were not dropped; "
                        f"the first is {first_difference(left, right, lost[0])}")


def compare_ram(run: Run, source: GuestQemu, destination: GuestQemu, size: int,
                wall_clock: int, traced: int = 0, copies: Copies = MappingProxyType({})) -> Differing:
    """Compare all of the guest's RAM: which pages may differ says check_dropped(), what they may read as Judge. Where
    stock hints may drop pages those that differ are counted, and the guest's own checks have to do. The guest's clock
    is at a guest physical address, or nowhere if that is 0."""
    if memory_devices(source) != memory_devices(destination):
        raise LabError("the destination has other memory devices than the source")
    clock = host_address(source.qmp, wall_clock) if wall_clock else -1
    found = Differing()
    for address, length in blocks_of(run, source, size):
        left, right = (find_ram(side.qmp, side.pid, length, address) for side in (source, destination))
        differing = differing_pages(left, right)
        # The clock may lie in another block.
        place = clock - left.address
        if place // PAGE in differing and differs_in_wall_clock_only(left, right, place):
            differing.remove(place // PAGE)
        if stock_hints(run):
            found.add(Differing(unjudged=len(differing)))
            continue
        check_dropped(run, source, left, right, differing, traced)
        found.add(Judge(run.workload, size // PAGE, left, right, copies.get(left.block)).look(differing))
    check_standing_still(run.workload, found)
    return found


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
