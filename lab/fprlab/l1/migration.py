# SPDX-License-Identifier: GPL-2.0-only
"""One migration from the guest's start to its last check."""

import contextlib
import dataclasses
import time
from pathlib import Path
from typing import Any, Callable, Optional, Union

from ..common.errors import LabError
from ..common.names import RACE_WORKLOAD
from .agents.misbehaving import BEHAVIOURS, MisbehavingAgent
from .agents.relay import CRASHES, RELAYS, Relay
from .features.feature import Ends
from .filter_check import check_agent, check_filter
from .guest_port import Verified
from .guest_qemu import GuestQemu, QemuSettings
from .kvm_stats import write_faults
from .migration_control import start_migration, uri_of, wait_completed, wait_loaded
from .migration_run import Run
from .must import must_bytes
from .network import Network
from .older_content import Differing
from .outside_filter import start_outside_filter
from .postcopy import DESTINATION, SOURCE, go_over
from .slowdown import count_before, measured
from .stage import Stage, time_limit
from .verification import (boot_and_check, check_consoles, check_crashed, compare_ram, copy_memory, lost_pages,
                           resume_and_check)

SECONDS_FOR_REPORT = 120.0
MAX_GROWTH_MIB = 64
EARLY = 0.3  # seconds after its QEMU is there, a guest has hardly begun to boot


def start_agent(run: Run, settings: QemuSettings, directory: Path,
                stack: contextlib.ExitStack) -> Union[None, MisbehavingAgent, Relay]:
    """Start the agent that the source asks in the place of the guest's own, if the run has one."""
    if not run.agent:
        return None
    agent: Union[MisbehavingAgent, Relay]
    if run.agent in RELAYS:
        agent = Relay(directory / "agent", run.agent, directory / "source" / "report")
    else:
        agent = MisbehavingAgent(directory / "agent", BEHAVIOURS[run.agent], settings.guest_mib << 8)
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


def interrupt(agent: Union[None, MisbehavingAgent, Relay], source: GuestQemu) -> None:
    """Stop or crash the guest in the middle of its first report, if the run says so."""
    if not isinstance(agent, Relay) or not agent.interrupt:
        return
    if not agent.in_the_middle.wait(SECONDS_FOR_REPORT):
        raise LabError("the guest made no report to interrupt")
    source.qmp.execute(agent.interrupt)
    agent.go_on.set()


def result_of(run: Run, guest_mib: int, info: dict[str, Any], counters: dict[str, Any],
              needed: int, held: tuple[int, int], differing: Differing, lost: int, checks: list[Verified]) -> dict[str, Any]:
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
        "downtime_bytes": ram["downtime-bytes"],
        "rounds": ram["dirty-sync-count"],
        "reported_pages": counters.get("reported-pages", 0),
        "filtered_pages": counters.get("filtered-pages", 0),
        "confirmed_pages": counters.get("confirmed-pages", 0),
        "needed_bytes": needed,
        "held_bytes": held[0],
        "kept_bytes": held[1],
        "verified": not lost,
        "lost_pages": lost,
        "verified_pages": [check.pages for check in checks],
        "differing_pages": differing.pages(),
        "differing": dataclasses.asdict(differing),
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
        "postcopy_bytes": ram["postcopy-bytes"],
        "postcopy_requests": ram["postcopy-requests"],
        "requested_pages": counters.get("requested-pages", 0),
    }


def start_guests(run: Run, settings: QemuSettings, directory: Path,
                 stack: contextlib.ExitStack, agent: Optional[Path] = None,
                 network: Optional[Network] = None) -> tuple[GuestQemu, GuestQemu]:
    """A source whose guest is ready and which asks an agent, if not the guest's own, and a
    destination, on two hosts if there is a network; the stack ends them."""
    for feature in run.features:
        stack.enter_context(feature.around(directory, settings.guest_mib, Path(settings.binary).parent))
    if run.agent in CRASHES:
        settings = dataclasses.replace(settings, append=f"{settings.append} {CRASHES[run.agent]}")
    ends = [dataclasses.replace(settings, prefix=network.prefix(host)) if network else settings
            for host in (SOURCE, DESTINATION)]
    destination = GuestQemu(ends[DESTINATION], run.guest(), directory / "destination", incoming=True)
    stack.callback(destination.end)
    source = GuestQemu(ends[SOURCE], run.guest(), directory / "source", agent=agent)
    stack.callback(source.end)
    if run.early():
        time.sleep(EARLY)
        return source, destination
    source.port.wait_for("ready")
    for feature in run.features:
        feature.ready(source)
    return source, destination


def ask_about_memory(source: GuestQemu) -> tuple[int, int, int]:
    """Where the guest's clock is, and how many bytes of its memory are not free, and are."""
    return source.port.wall_clock(), source.port.needed_bytes(), source.port.free_bytes()[0]


def migrate(run: Run, settings: QemuSettings, directory: Path,
            show: Callable[[str], None]) -> dict[str, Any]:
    """Measure one migration; LabError if anything at all is wrong with it."""
    stage = Stage(run.label, show)
    with contextlib.ExitStack() as stack:
        stack.enter_context(time_limit(run.timeout, stage))
        stage.enter("starting the guest")
        agent = start_agent(run, settings, directory, stack)
        network = stack.enter_context(Network()) if any(feature.network for feature in run.features) else None
        uri = network.uri(DESTINATION) if network else uri_of(run, directory)
        source, destination = start_guests(run, settings, directory, stack, agent and directory / "agent", network)

        wall_clock, needed, free = (0, 0, 0) if run.early() else ask_about_memory(source)
        copies = copy_memory(run, source, settings.guest_mib << 20)
        stage.enter("migrating")
        memory = resident_mib(source.pid)
        outside = start_outside_filter(run.mode, settings.fprctl, source, settings.guest_mib << 20)
        before = None if run.early() else count_before(source, settings.accel)
        if run.workload == RACE_WORKLOAD:
            # From here on the guest answers nothing until it has filled its memory.
            source.port.send("press-hinted" if "hint" in run.mode else "press")
        start_migration(source, destination, run, uri)
        if run.workload == RACE_WORKLOAD:
            source.port.needed_bytes()  # once it answers again
            for feature in run.features:
                feature.filled(source)
        filtered = outside.filter() if outside else {}
        interrupt(agent, source)
        postcopy = run.postcopy()
        switched = go_over(source, destination, postcopy, uri, stage, network) if postcopy else 0.0
        info = wait_completed(source, stage)
        postcopy_ms = int((time.monotonic() - switched) * 1000) if postcopy else 0
        check_growth(run, resident_mib(source.pid) - memory)
        counters = check_filter(run, info, source) or filtered
        check_agent(agent, counters)

        stage.enter("comparing memory")
        wait_loaded(destination, run, uri)
        faults = write_faults(source.pid) if settings.accel == "kvm" else None
        found = [feature.loaded(Ends(source, destination, info)) for feature in run.features]
        # A guest that has gone on has another memory now.
        differing = Differing() if run.runs_on() else compare_ram(
            run, source, destination, settings.guest_mib << 20, wall_clock, copies=copies)
        if not settings.must:
            source.end()

        stage.enter("checking the guest on the destination")
        more: dict[str, Any] = {}
        if run.agent in CRASHES:
            checks, lost, held, kept = check_crashed(source), 0, 0, 0
        else:
            if before:
                resumed = resume_and_check(destination, settings.must)
                checks, more = resumed.checks, measured(before, resumed.work, faults)
                if settings.must:
                    more["must_bytes"] = must_bytes(source, destination, settings.guest_mib << 20, resumed.free_map)
            else:
                checks = boot_and_check(destination)
            source.end()
            lost = lost_pages(run, checks)
            # The guest has gone on counting, with what it remembers of the source.
            held, kept = (max(0, free - there) for there in reversed(destination.port.free_bytes()))
            check_consoles([source, destination])
        stage.enter(f"{lost} pages lost" if lost else "verified")
    result = result_of(run, settings.guest_mib, info, counters, needed, (held, kept), differing, lost, checks)
    return {**result, **more, "postcopy_ms": postcopy_ms, "found": [text for text in found if text]}
