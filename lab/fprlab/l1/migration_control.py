# SPDX-License-Identifier: GPL-2.0-only
"""A migration on the way from its source to its destination, by QMP."""

import socket
import time
from pathlib import Path
from typing import Any

from ..common.errors import LabError
from .features.registry import CAPABILITIES
from .guest_qemu import GuestQemu
from .migration_run import Run
from .stage import Stage

ENDS = ("completed", "failed", "cancelled")
UNLIMITED = 1 << 40  # bytes a second, more than any machine here moves
MAX_ROUNDS = 1000
SECONDS_BETWEEN_NOTES = 5.0


FILTER = [{"capability": "free-page-filter", "state": True}]


def switch_filter_on(machine: GuestQemu, run: Run, incoming: bool) -> None:
    """Set the filter's capability. The source refuses it where there is no filter, and says why; a destination may
    take it all the same."""
    try:
        machine.qmp.execute("migrate-set-capabilities", capabilities=FILTER)
    except LabError as error:
        if not run.refused() or run.refused() not in str(error):
            raise
    else:
        if run.refused() and not incoming:
            raise LabError(f"QEMU set the filter's capability, and was to say: {run.refused()}")


def configure(machine: GuestQemu, run: Run, incoming: bool = False) -> None:
    """All that both ends must agree on, and the cap, or one that does not matter. What
    an earlier migration had set is undone."""
    wanted = {name for feature in run.features for name in feature.capabilities}
    machine.qmp.execute("migrate-set-capabilities", capabilities=[
        {"capability": name, "state": name in wanted} for name in wanted.union(CAPABILITIES)])
    if run.guest().filters():
        switch_filter_on(machine, run, incoming)
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
    """The URI that both ends get."""
    if any(feature.tcp for feature in run.features):
        return f"tcp:{free_address()}"
    return f"{'file' if through_file(run) else 'unix'}:{directory}/migration"


def start_migration(source: GuestQemu, destination: GuestQemu, run: Run, uri: str) -> None:
    """Begin on both ends; a file is not read before it is complete."""
    configure(source, run)
    configure(destination, run, incoming=True)
    if not through_file(run):
        destination.qmp.execute("migrate-incoming", uri=uri)
    if run.runs_on():
        destination.qmp.execute("cont")
    for feature in run.features:
        feature.before(source.qmp)
    source.qmp.forget_events()
    source.qmp.execute("migrate", uri=uri)
    for feature in run.features:
        feature.during(source.qmp)


def wait_end(source: GuestQemu, stage: Stage) -> dict[str, Any]:
    """Wait for the migration's end; returns what query-migrate says, with the most that the guest was throttled."""
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
            stage.note(f": {info['status']}, round {ram['dirty-sync-count']}, {ram['transferred'] >> 20} MiB sent, "
                       f"{ram['remaining'] >> 20} MiB left")
        time.sleep(0.1)


def wait_completed(source: GuestQemu, stage: Stage) -> dict[str, Any]:
    """Wait for the end of the migration, which must be "completed"."""
    info = wait_end(source, stage)
    if info["status"] != "completed":
        raise LabError(f"migration {info['status']}: {info.get('error-desc', 'QEMU gives no reason')}")
    return info


def wait_loaded(destination: GuestQemu, run: Run, uri: str) -> None:
    """Wait until the destination has taken everything, and stands still if it is not to run."""
    if through_file(run):
        destination.qmp.execute("migrate-incoming", uri=uri)
    while True:
        status = destination.qmp.execute("query-status")["status"]
        if status == ("running" if run.runs_on() else "paused"):
            return
        if status != "inmigrate":
            raise LabError(f"the destination is {status} after the migration")
        time.sleep(0.05)
