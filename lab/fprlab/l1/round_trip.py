# SPDX-License-Identifier: GPL-2.0-only
"""A guest that is migrated again and again between two hosts, also when that fails."""

import contextlib
import dataclasses
import shutil
import time
from pathlib import Path
from typing import Any, Callable, Iterator, Optional

from ..common.errors import LabError
from ..common.names import FILTER_MODES
from .diagnosis import diagnose
from .failures import Failure, Scene, make_small_disk, remove_small_disk, wait_crashed
from .guest_port import Verified
from .guest_qemu import GuestQemu, QemuSettings, crashed
from .filter_check import NoReport, check_filter
from .migration_control import UNLIMITED, start_migration, wait_end, wait_loaded
from .migration_run import Run
from .postcopy import go_over_at
from .stage import Stage, time_limit
from .verification import Copies, check_consoles, check_guest, check_twice, compare_ram, copy_memory, resume_and_check
from .network import Network

# The clock that KVM writes itself is at the same address after a reboot.
SAME_PLACE = "nokaslr"
PATIENCE = 45.0           # seconds, then the operator takes the cap off
LAST_DOWNTIME_MS = 5000   # and allows this, so that it ends with any workload
NEVER_FREE = 0.08         # of a guest's memory: what it keeps and verifies is more
RUNNING_LIMIT = 300.0     # seconds until a source runs again
MAX_SILENT = 3            # whole migrations in turn for which no report came


@dataclasses.dataclass(frozen=True)
class Leg:
    """The choices of one migration."""

    run: Run
    transport: str  # unix, tcp or file
    failure: Optional[Failure] = None
    moment: float = 0.0  # of it: from 0, the beginning, to 1, about the end
    length: float = 0.0  # of it, in seconds


@contextlib.contextmanager
def described_if_wrong(machines: list[GuestQemu]) -> Iterator[None]:
    """If something goes wrong, write down what all these QEMUs are at before they are ended."""
    try:
        yield
    except BaseException:
        for machine in machines:
            machine.qmp.close()
            said = "".join(f"the guest said: {line}\n" for line in machine.port.last_lines)
            (machine.directory / "state").write_text(
                f"{said}pokes: {machine.port.pokes}\n{diagnose(machine.pid, machine.directory / 'qmp')}", "utf-8")
        raise


class RoundTrip:
    """A guest, in the QEMU where it lives now."""

    def __init__(self, run: Run, settings: QemuSettings, network: Network, directory: Path,
                 show: Callable[[str], None]) -> None:
        self._run = run
        self._settings = settings
        self._network = network
        self._directory = directory
        self._stage = Stage(run.label, show)
        self._count = 0
        self._host = 0
        self._silent = 0
        self.machine: Optional[GuestQemu] = None

    def _new_machine(self, host: int, incoming: bool) -> GuestQemu:
        self._count += 1
        settings = dataclasses.replace(self._settings, prefix=self._network.prefix(host),
                                       append=f"{self._settings.append} {SAME_PLACE}")
        return GuestQemu(settings, self._run.guest(), self._directory / f"qemu{self._count}", incoming)

    def _here(self) -> GuestQemu:
        assert self.machine
        return self.machine

    def start(self) -> None:
        """Boot the guest on host 0."""
        with time_limit(self._run.timeout, self._stage):
            self._stage.enter("starting the guest")
            self.machine = self._new_machine(0, incoming=False)
            self.machine.port.wait_for("ready")

    def end(self) -> None:
        """End the QEMU where it is."""
        if self.machine:
            self.machine.end()

    def explain(self, error: Exception) -> str:
        """What went wrong, with what the guest's kernel says of it."""
        trouble = self.machine.trouble() if self.machine else None
        return f"{error}{'; the guest: ' if trouble else ''}{trouble or ''}"

    def migrate(self, leg: Leg) -> dict[str, Any]:
        """One migration, wherever it ends; LabError if anything is wrong with it."""
        with contextlib.ExitStack() as stack:
            destination = self._new_machine(1 - self._host, incoming=True)
            stack.callback(lambda: self._end_other(destination))
            stack.enter_context(described_if_wrong([self._here(), destination]))
            stack.enter_context(time_limit(leg.run.timeout, self._stage))
            source, poked = self._here(), self._here().port.pokes
            needed = source.port.needed_bytes()
            clock = self._here().port.wall_clock()
            traced = self._traced()
            copies = self._copy(leg)
            uri = self._uri(leg, stack)
            self._stage.enter(f"migrating by {leg.transport}")
            start_migration(self._here(), destination, leg.run, uri)
            injected = self._fail(leg, destination, needed)
            if leg.run.postcopy():
                go_over_at(self._here(), self._moment(leg, needed))
            info = self._wait_end(leg)
            self._check_end(leg, info, injected)
            result = {"status": info["status"], "injected": injected, **self._figures(leg, info)}
            if info["status"] == "completed" and destination.alive():
                result |= self._arrive(leg, destination, uri, clock, traced, copies)
            else:
                result |= self._stay(info["status"])
            result["pokes"] = source.port.pokes + destination.port.pokes - poked
            self._stage.enter("verified")
        return result

    def _end_other(self, destination: GuestQemu) -> None:
        if self.machine is not destination:
            destination.end()

    def _traced(self) -> int:
        """Bytes of the source's trace that earlier migrations have written."""
        trace = self._here().directory / "trace"
        return trace.stat().st_size if trace.exists() else 0

    def _copy(self, leg: Leg) -> Copies:
        """The guest's memory as it is, unless it boots again meanwhile and then has the same once more."""
        if leg.failure and (leg.failure.crashes or leg.failure.boots):
            return {}
        return copy_memory(leg.run, self._here(), self._settings.guest_mib << 20)

    def _uri(self, leg: Leg, stack: contextlib.ExitStack) -> str:
        """The URI that both ends get."""
        if leg.transport == "tcp":
            return self._network.uri(1 - self._host)
        if leg.transport == "unix":
            return f"unix:{self._directory}/migration{self._count}"
        place = self._directory
        if leg.failure and leg.failure.small_disk:
            place = make_small_disk(place, int(leg.moment * NEVER_FREE * self._settings.guest_mib))
            stack.callback(remove_small_disk, place)
        file = place / f"migration{self._count}"
        stack.callback(file.unlink, missing_ok=True)
        return f"file:{file}"

    @staticmethod
    def _moment(leg: Leg, needed: int) -> float:
        """When something is to happen to a migration that begins now and sends so many bytes."""
        return time.monotonic() + leg.moment * needed / (leg.run.bandwidth or UNLIMITED)

    def _fail(self, leg: Leg, destination: GuestQemu, needed: int) -> bool:
        """Let the failure happen in its moment, if the migration is still going on."""
        if not leg.failure:
            return False
        scene = Scene(self._here(), destination, self._network, self._host, leg.length)
        end = self._moment(leg, needed)
        if not leg.failure.small_disk:
            while time.monotonic() < end and not scene.over():
                time.sleep(0.02)
            if scene.over():
                return False
        self._stage.enter(leg.failure.name)
        leg.failure.inject(scene)
        return True

    def _wait_end(self, leg: Leg) -> dict[str, Any]:
        """Wait for the end; an operator takes the cap off a migration that does not converge."""
        source = self._here()
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if Scene(source, source, self._network, self._host, 0).over():
                return wait_end(source, self._stage)
            time.sleep(0.1)
        self._stage.enter("migrating without a cap")
        source.qmp.execute("migrate-set-parameters", max_bandwidth=UNLIMITED, downtime_limit=LAST_DOWNTIME_MS)
        return wait_end(source, self._stage)

    @staticmethod
    def _check_end(leg: Leg, info: dict[str, Any], injected: bool) -> None:
        allowed = leg.failure.ends if leg.failure and injected else ("completed",)
        if leg.failure and injected and any("postcopy-ram" in feature.capabilities for feature in leg.run.features):
            allowed += leg.failure.ends_with_return_path
        if info["status"] not in allowed or "free-page-filter" in info.get("error-desc", ""):
            raise LabError(f"migration {info['status']}: {info.get('error-desc', 'QEMU gives no reason')}")

    def _figures(self, leg: Leg, info: dict[str, Any]) -> dict[str, Any]:
        """What QEMU has counted."""
        counters = info.get("free-page-filter", {})
        if leg.run.mode in FILTER_MODES and "blocked-reason" in counters:
            raise LabError(f"QEMU did not use the filter: {counters['blocked-text']}")
        if info["status"] == "completed" and not leg.failure:
            self._check_filter(leg.run, info)
        ram = info.get("ram", {})
        return {"sent_bytes": ram.get("transferred", 0), "rounds": ram.get("dirty-sync-count", 0),
                "throttled_percent": info["cpu-throttle-percentage"],
                "total_ms": info.get("total-time"), "downtime_ms": info.get("downtime"),
                "postcopy_bytes": ram.get("postcopy-bytes", 0),
                **{name.replace("-", "_"): counters.get(name, 0)
                   for name in ("epochs", "reports", "discarded-reports", "dropped-pages", "requested-pages")}}

    def _check_filter(self, run: Run, info: dict[str, Any]) -> None:
        """Check as for a single migration, but let a report come too late once or twice in turn."""
        try:
            check_filter(run, info, self._here())
            self._silent = 0
        except NoReport:
            self._silent += 1
            if self._silent >= MAX_SILENT:
                raise

    def _arrive(self, leg: Leg, destination: GuestQemu, uri: str, clock: int, traced: int,
                copies: Copies) -> dict[str, Any]:
        """Compare all memory, go on at the destination, and let the guest verify."""
        source = self._here()
        self._stage.enter("comparing memory")
        wait_loaded(destination, leg.run, uri)
        differing = compare_ram(leg.run, source, destination, self._settings.guest_mib << 20, clock, traced, copies)
        source.end()
        self.machine, self._host = destination, 1 - self._host
        self._stage.enter("checking the guest on the destination")
        if leg.failure and leg.failure.crashes:
            checks = self._revive(source)
        else:
            check_consoles([source])
            checks = self._greet(destination) if leg.failure and leg.failure.boots else resume_and_check(destination).checks
        shutil.rmtree(source.directory)
        return {"arrived": True, "differing_pages": differing.pages(), "differing": dataclasses.asdict(differing),
                "compared_pages": self._settings.guest_mib << 8, **self._checked(checks)}

    def _stay(self, status: str) -> dict[str, Any]:
        """Check the guest where it was: it goes on by itself, unless QEMU took it for gone."""
        source = self._here()
        self._stage.enter(f"checking the guest on the source, migration {status}")
        if status == "completed":
            source.qmp.execute("cont")
        end = time.monotonic() + RUNNING_LIMIT
        while source.qmp.execute("query-status")["status"] != "running":
            if time.monotonic() > end:
                raise LabError(f"the source is {source.qmp.execute('query-status')['status']} "
                               f"after a migration that {status}")
            time.sleep(0.05)
        checks = check_twice(source, source.port.send("verify"))
        return {"arrived": False, "differing_pages": 0, "compared_pages": 0, **self._checked(checks)}

    def _checked(self, checks: list[Verified]) -> dict[str, Any]:
        check_guest(checks)
        check_consoles([self._here()])
        self._here().let_reboot(False)
        return {"verified_pages": sum(check.pages for check in checks)}

    @staticmethod
    def _greet(destination: GuestQemu) -> list[Verified]:
        """A kernel that boots forgets what its UART was told before: wait until it talks."""
        destination.qmp.execute("cont")
        destination.port.wait_beat()
        return check_twice(destination, destination.port.send("verify"))

    def _revive(self, source: GuestQemu) -> list[Verified]:
        """Boot the crashed guest again where it is now. If it was gone before it read
        what it was told, it is told again."""
        here = self._here()
        here.qmp.execute("cont")
        if not crashed([source, here]):
            here.port.tell("crash")
            wait_crashed([source, here], lambda: False)
        here.let_reboot(True)
        here.qmp.execute("system_reset")
        here.port.wait_for("ready")
        return check_twice(here, here.port.send("verify"))
