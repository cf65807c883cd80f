# SPDX-License-Identifier: GPL-2.0-only
"""One migration from the guest's start to its last check."""

import contextlib
import dataclasses
import signal
import socket
import time
from pathlib import Path
from types import FrameType
from typing import Any, Callable, Iterator, Optional, Union

from ..common.errors import LabError, LostPages
from ..common.names import FILTER_MODES, RACE_WORKLOAD
from .agents.misbehaving import Agent
from .agents.relay import CRASHES, RELAYS, Relay
from .drop_trace import dropped_pages
from .features.feature import CAPABILITIES, Ends, Feature
from .guest_port import Verified
from .guest_qemu import Emulator, Guest, Machine
from .outside_filter import start_beside
from .ram import (PAGE, GuestRam, differing_pages, differs_in_wall_clock_only, find_ram, first_difference,
                  host_address)

SECONDS_BETWEEN_CHECKS = 2.0
SECONDS_BETWEEN_NOTES = 5.0
SECONDS_FOR_REPORT = 120.0
MAX_ROUNDS = 1000
MAX_GROWTH_MIB = 64
ENDS = ("completed", "failed", "cancelled")
UNLIMITED = 1 << 40  # bytes a second, more than any machine here moves


class NoReport(LabError):
    """The guest was asked for its free pages, and did not answer in time."""


@dataclasses.dataclass(frozen=True)
class Run:
    """What to measure."""

    workload: str
    mode: str
    repeat: int
    bandwidth: int  # bytes a second, 0: no cap
    timeout: int  # seconds without progress
    expect_stock: bool  # this kernel has no filter: filter modes have to fall back
    label: str  # for progress
    agent: str = ""  # of fprlab.l1.agents.misbehaving, in the place of the guest's own
    features: tuple[Feature, ...] = ()
    may_lose: bool = False  # with stock hints a guest's wrong pages are a result

    def guest(self) -> Guest:
        """Whom it migrates."""
        return Guest(self.workload, self.mode, self.features)

    def blocked(self) -> str:
        """Why the filter has to be off, if it has to."""
        return next((feature.blocked for feature in self.features if feature.blocked), "")

    def stays(self) -> bool:
        """The guest goes on at the source."""
        return any(feature.snapshot or feature.cancelled for feature in self.features)


class Stage:
    """What a run is at, for progress and for the message of a time limit."""

    def __init__(self, label: str, show: Callable[[str], None]) -> None:
        self._label = label
        self._show = show
        self._start = time.monotonic()
        self.name = ""
        self.limit = 0  # seconds without progress, 0: none; time_limit() sets it

    def enter(self, name: str) -> None:
        """A new stage begins."""
        self.name = name
        self.progress()
        self.note("")

    def progress(self) -> None:
        """Something was done, so nothing hangs."""
        if self.limit:
            signal.alarm(self.limit)

    def note(self, detail: str) -> None:
        """Show how it goes."""
        elapsed = time.monotonic() - self._start
        self._show(f"{self._label}: {elapsed:3.0f} s: {self.name}{detail}")


@contextlib.contextmanager
def time_limit(seconds: int, stage: Stage) -> Iterator[None]:
    """Whatever blocks inside is interrupted when there was no progress for so many seconds."""

    def expired(_signal: int, _frame: Optional[FrameType]) -> None:
        raise LabError(f"no progress for {seconds} s; it was at: {stage.name}")

    previous = signal.signal(signal.SIGALRM, expired)
    stage.limit = seconds
    stage.progress()
    try:
        yield
    finally:
        stage.limit = 0
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


def start_agent(run: Run, emulator: Emulator, directory: Path,
                stack: contextlib.ExitStack) -> Union[None, Agent, Relay]:
    """The one that the source asks, if not the guest's own."""
    if not run.agent:
        return None
    agent: Union[Agent, Relay]
    if run.agent in RELAYS:
        agent = Relay(directory / "agent", run.agent, directory / "source" / "report")
    else:
        agent = Agent(directory / "agent", run.agent, emulator.guest_mib << 8)
    stack.callback(agent.end)
    return agent


def resident_mib(pid: int) -> int:
    """Memory of a process that is its own, without the guest's or files'."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Private_Dirty:"):
            return int(line.split()[1]) >> 10
    raise LabError(f"no memory figures of process {pid}")


def check_growth(run: Run, mib: int) -> None:
    """What an agent sends must not pile up in QEMU."""
    if run.agent and mib > MAX_GROWTH_MIB:
        raise LabError(f"QEMU grew by {mib} MiB with the {run.agent} agent")


def configure(machine: Machine, run: Run) -> None:
    """All that both ends must agree on, and the cap, or one that does not matter. What
    an earlier migration had set is undone."""
    wanted = {name for feature in run.features for name in feature.capabilities}
    machine.qmp.execute("migrate-set-capabilities", capabilities=[
        {"capability": name, "state": name in wanted} for name in wanted.union(CAPABILITIES)])
    parameters = {name: value for feature in run.features for name, value in feature.parameters.items()}
    machine.qmp.execute("migrate-set-parameters", **{"max-bandwidth": run.bandwidth or UNLIMITED, **parameters})


def free_address() -> str:
    """A TCP address at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return ":".join(map(str, probe.getsockname()))


def through_file(run: Run) -> bool:
    """Whether the destination reads a file when the source is done."""
    return any(feature.file for feature in run.features)


def uri_of(run: Run, directory: Path) -> str:
    """Where it goes."""
    if any(feature.tcp for feature in run.features):
        return f"tcp:{free_address()}"
    return f"{'file' if through_file(run) else 'unix'}:{directory}/migration"


def start_migration(source: Machine, destination: Machine, run: Run, uri: str) -> None:
    """Begin on both ends; a file is not read before it is complete."""
    for machine in (source, destination):
        configure(machine, run)
    if not through_file(run):
        destination.qmp.execute("migrate-incoming", uri=uri)
    for feature in run.features:
        feature.before(source.qmp)
    source.qmp.execute("migrate", uri=uri)
    for feature in run.features:
        feature.during(source.qmp)


def interrupt(agent: Union[None, Agent, Relay], source: Machine) -> None:
    """Do to the guest what is to happen in the middle of its first report."""
    if not isinstance(agent, Relay) or not agent.interrupt:
        return
    if not agent.in_the_middle.wait(SECONDS_FOR_REPORT):
        raise LabError("the guest made no report to interrupt")
    source.qmp.execute(agent.interrupt)
    agent.go_on.set()


def wait_end(source: Machine, stage: Stage) -> dict[str, Any]:
    """The final answer of query-migrate, with the most that the guest was throttled."""
    shown = time.monotonic()
    throttled = sent = 0
    while True:
        info = source.qmp.execute("query-migrate")
        throttled = max(throttled, info.get("cpu-throttle-percentage", 0))
        if info.get("status") in ENDS:
            return {**info, "cpu-throttle-percentage": throttled}
        ram = info.get("ram", {"transferred": 0, "dirty-sync-count": 0})
        if ram["dirty-sync-count"] > MAX_ROUNDS:
            raise LabError(f"the migration has not ended after {MAX_ROUNDS} rounds")
        if ram["transferred"] > sent:
            sent = ram["transferred"]
            stage.progress()
        if time.monotonic() - shown >= SECONDS_BETWEEN_NOTES and sent:
            shown = time.monotonic()
            stage.note(f": round {ram['dirty-sync-count']}, {ram['transferred'] >> 20} MiB sent, "
                       f"{ram['remaining'] >> 20} MiB left")
        time.sleep(0.1)


def wait_completed(source: Machine, stage: Stage) -> dict[str, Any]:
    """The end, which must be a good one."""
    info = wait_end(source, stage)
    if info["status"] != "completed":
        raise LabError(f"migration {info['status']}: {info.get('error-desc', 'QEMU gives no reason')}")
    return info


def wait_loaded(destination: Machine, run: Run, uri: str) -> None:
    """Until the destination has taken everything and stands still."""
    if through_file(run):
        destination.qmp.execute("migrate-incoming", uri=uri)
    while True:
        status = destination.qmp.execute("query-status")["status"]
        if status == "paused":
            return
        if status != "inmigrate":
            raise LabError(f"the destination is {status} after the migration")
        time.sleep(0.05)


def check_fallback(run: Run, counters: dict[str, Any], source: Machine) -> None:
    """QEMU did without the filter, and said why: in one warning and to query-migrate."""
    warnings = [line for line in source.stderr().splitlines() if "free-page-filter" in line]
    if len(warnings) != 1:
        raise LabError(f"{len(warnings)} warnings about the missing filter, not 1")
    reason = counters.get("blocked-reason", "")
    if run.blocked() not in ("", reason) or not reason or reason not in warnings[0]:
        raise LabError(f"the filter is off because of {reason!r}; the warning is {warnings[0]!r}")
    if any(counters[name] for name in ("epochs", "reports", "filtered-pages", "dropped-pages")):
        raise LabError("QEMU claims to have used the filter that it cannot use")


def check_filter(run: Run, info: dict[str, Any], source: Machine) -> dict[str, Any]:
    """The filter's counters. A run that was to use the filter and didn't is an
    error, and so is a fallback that didn't warn exactly once."""
    counters = info.get("free-page-filter", {})
    if run.mode not in FILTER_MODES:
        if counters:
            raise LabError("QEMU shows a free page filter that was not asked for")
        return {}
    if run.expect_stock or run.blocked():
        check_fallback(run, counters, source)
        return counters
    blocked = counters.get("blocked-reason")
    if blocked:
        raise LabError(f"QEMU did not use the filter: {blocked}")
    if not counters.get("epochs", 0):
        raise LabError("QEMU did not use the filter: no epoch was begun")
    if run.mode == "filter-report" and run.agent not in RELAYS:
        check_reports(run, counters)
    return counters


def check_reports(run: Run, counters: dict[str, Any]) -> None:
    """The guest's own are used, an agent's are not."""
    if run.agent:
        if counters.get("reports", 0) or counters.get("dropped-pages", 0):
            raise LabError(f"QEMU believed the {run.agent} agent")
    elif not counters.get("reports", 0):
        raise NoReport("the guest made no report in time")


def check_relay(agent: Union[None, Agent, Relay], counters: dict[str, Any]) -> None:
    """No report counts twice."""
    if not isinstance(agent, Relay):
        return
    ended, asked = counters["reports"] + counters["discarded-reports"], agent.asked()
    if not counters["reports"] or ended > asked:
        raise LabError(f"{asked} requests, but {counters['reports']} reports used "
                       f"and {counters['discarded-reports']} discarded")


def memory_devices(side: Machine) -> list[tuple[int, int]]:
    """Guest physical address and size of each DIMM and the like."""
    devices = [device["data"] for device in side.qmp.execute("query-memory-devices")]
    return sorted((device.get("addr", device.get("memaddr")), device.get("max-size", device["size"]))
                  for device in devices)


def compare_block(run: Run, source: Machine, left: GuestRam, right: GuestRam, clock: int, traced: int) -> int:
    """How many pages differ. In plain mode none may; with the filter each must have
    been dropped, after so many bytes of the source's trace. Stock hints leave no record
    of what they dropped, so there the pages are counted and the guest's own checks have
    to do. The guest's clock is at this offset, which may lie in another block."""
    differing = differing_pages(left, right)
    if clock // PAGE in differing and differs_in_wall_clock_only(left, right, clock):
        differing.remove(clock // PAGE)
    stock_hints = run.mode == "hint" or run.mode == "filter-hint" and bool(run.expect_stock or run.blocked())
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


def compare_ram(run: Run, source: Machine, destination: Machine, size: int,
                wall_clock: int, traced: int = 0) -> int:
    """The same for all of the guest's RAM; memory devices have blocks of their own. The
    guest's clock is at a guest physical address, or nowhere if that is 0."""
    blocks = [(0, size)] + memory_devices(source)
    if blocks[1:] != memory_devices(destination):
        raise LabError("the destination has other memory devices than the source")
    clock = host_address(source.qmp, wall_clock) if wall_clock else -1
    differing = 0
    for address, length in blocks:
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


def check_twice(machine: Machine, tag: str) -> list[Verified]:
    """The answer to a question that was sent, and one some time later."""
    first = machine.port.verified(tag)
    time.sleep(SECONDS_BETWEEN_CHECKS)
    machine.port.wait_beat()
    return [first, machine.port.verified(machine.port.send("verify"))]


def resume_and_check(destination: Machine) -> list[Verified]:
    """Let the guest go on and check twice. The first question waits in the port
    when the guest starts, so it is answered before much is overwritten."""
    tag = destination.port.send("verify")
    destination.qmp.execute("cont")
    return check_twice(destination, tag)


def check_crashed(source: Machine) -> list[Verified]:
    """A guest that has crashed checks nothing, which leaves the comparison of its RAM."""
    if not source.trouble():
        raise LabError("the guest did not crash")
    return []


def check_consoles(machines: list[Machine]) -> None:
    """No trouble in any guest's log."""
    for machine in machines:
        line = machine.trouble()
        if line:
            raise LabError(f"the guest's kernel says on the {machine.directory.name}: {line}")


def result_of(run: Run, guest_mib: int, info: dict[str, Any], counters: dict[str, Any],
              needed: int, held: int, differing: int, lost: int, checks: list[Verified]) -> dict[str, Any]:
    """One object of out/demo.json."""
    ram = info["ram"]
    return {
        "workload": run.workload,
        "mode": run.mode,
        "repeat": run.repeat,
        "sent_bytes": ram["transferred"],
        "pages_normal": ram["normal"],
        "pages_zero": ram["duplicate"],
        "total_ms": info["total-time"],
        "downtime_ms": info["downtime"],
        "rounds": ram["dirty-sync-count"],
        "reported_pages": counters.get("reported-pages", 0),
        "filtered_pages": counters.get("filtered-pages", 0),
        "confirmed_pages": counters.get("confirmed-pages", 0),
        "needed_bytes": needed,
        "held_bytes": held,
        "verified": not lost,
        "lost_pages": lost,
        "verified_pages": [check.pages for check in checks],
        "differing_pages": differing,
        "dropped_pages": counters.get("dropped-pages", 0),
        "bandwidth": run.bandwidth,
        "guest_mib": guest_mib,
        "epochs": counters.get("epochs", 0),
        "reports": counters.get("reports", 0),
        "features": [feature.name for feature in run.features],
        "throttled_percent": info["cpu-throttle-percentage"],
        "discarded_reports": counters.get("discarded-reports", 0),
        "first_report_ms": counters.get("first-report-ms"),
        "waited_ms": counters.get("waited-ms"),
    }


def start_guests(run: Run, emulator: Emulator, directory: Path,
                 stack: contextlib.ExitStack, agent: Optional[Path] = None) -> tuple[Machine, Machine]:
    """A source whose guest is ready and which asks an agent, if not the guest's own, and a
    destination; the stack ends them."""
    for feature in run.features:
        stack.enter_context(feature.around(directory, emulator.guest_mib))
    if run.agent in CRASHES:
        emulator = dataclasses.replace(emulator, append=f"{emulator.append} {CRASHES[run.agent]}")
    source = Machine(emulator, run.guest(), directory / "source", agent=agent)
    stack.callback(source.end)
    destination = Machine(emulator, run.guest(), directory / "destination", incoming=True)
    stack.callback(destination.end)
    source.port.wait_for("ready")
    for feature in run.features:
        feature.ready(source)
    return source, destination


def migrate(run: Run, emulator: Emulator, directory: Path,
            show: Callable[[str], None]) -> dict[str, Any]:
    """Measure one migration; LabError if anything at all is wrong with it."""
    stage = Stage(run.label, show)
    uri = uri_of(run, directory)
    with contextlib.ExitStack() as stack:
        stack.enter_context(time_limit(run.timeout, stage))
        stage.enter("starting the guest")
        agent = start_agent(run, emulator, directory, stack)
        source, destination = start_guests(run, emulator, directory, stack, agent and directory / "agent")

        wall_clock = source.port.wall_clock()
        needed = source.port.needed_bytes()
        free, _ = source.port.free_bytes()
        stage.enter("migrating")
        memory = resident_mib(source.pid)
        if run.workload == RACE_WORKLOAD:
            source.port.send("press-hinted" if "hint" in run.mode else "press")
        beside = start_beside(run.mode, emulator.fprctl, source, emulator.guest_mib << 20)
        start_migration(source, destination, run, uri)
        filtered = beside.filter() if beside else {}
        interrupt(agent, source)
        info = wait_completed(source, stage)
        check_growth(run, resident_mib(source.pid) - memory)
        counters = check_filter(run, info, source) or filtered
        check_relay(agent, counters)

        stage.enter("comparing memory")
        wait_loaded(destination, run, uri)
        found = [feature.loaded(Ends(source, destination, info)) for feature in run.features]
        differing = compare_ram(run, source, destination, emulator.guest_mib << 20, wall_clock)
        source.end()

        stage.enter("checking the guest on the destination")
        if run.agent in CRASHES:
            checks, lost, held = check_crashed(source), 0, 0
        else:
            checks = resume_and_check(destination)
            lost = lost_pages(run, checks)
            # The guest has gone on counting, with what it remembers of the source.
            held = max(0, free - destination.port.free_bytes()[1])
            check_consoles([source, destination])
        stage.enter(f"{lost} pages lost" if lost else "verified")
    result = result_of(run, emulator.guest_mib, info, counters, needed, held, differing, lost, checks)
    return {**result, "found": [text for text in found if text]}
