# SPDX-License-Identifier: GPL-2.0-only
"""Incremental snapshots of a guest, with and without the filter, and their verification.

A chain begins before the guest's first instruction.  After each file fprctl filter comes
from outside, or does not.  The guest of the whole chain is then compared, page by page, with the one
that it was taken of, which stands still; it goes on, checks its own memory, and has the next file
taken of it, which is verified in the same way.
"""

import contextlib
import dataclasses
import json
import subprocess
import time
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator, Optional, Sequence

from ..common.errors import LabError, LostPages
from ..common.snapshot_tools import SNAPSHOT_TIMEOUT, Tools
from .agents.recorder import Recorder
from .guest_port import Verified
from .stage import Stage, time_limit
from .verification import SECONDS_BETWEEN_CHECKS, check_guest
from .ram import differing_pages, first_difference
from .snapvmm import Snapvmm, boot_arguments, restore_arguments

BEATS_BETWEEN = 2
FILTER_TIMEOUT = 240


@dataclasses.dataclass(frozen=True)
class SnapshotPlan:
    """Which snapshots to take of which guest."""

    workload: str
    filtered: bool
    guest_mib: int
    repeat: int = 1
    snapshots: int = 3  # after the first one; one more is taken of the restored guest
    timeout: int = SNAPSHOT_TIMEOUT  # seconds without progress

    def label(self) -> str:
        """What the run is called in lines of progress."""
        return f"{self.workload}, {'filtered' if self.filtered else 'plain'}"


@dataclasses.dataclass
class Chain:
    """The files of a chain, and what was found on the way."""

    files: list[Path] = dataclasses.field(default_factory=list)
    sizes: list[int] = dataclasses.field(default_factory=list)
    filtered_pages: list[int] = dataclasses.field(default_factory=list)
    differing_pages: list[int] = dataclasses.field(default_factory=list)
    verified_pages: list[int] = dataclasses.field(default_factory=list)


def filter_pages(tools: Tools, pid: int, recorder: Recorder, user: Optional[int] = None,
                 more: Sequence[str] = ()) -> int:
    """Let fprctl filter the log of that process's VM, with more options; how many pages it took out."""
    run = subprocess.run(
        [str(tools.fprctl / "fprctl"), "filter", str(pid), "--guest", f"unix:{recorder.path}", "--json",
         "--timeout", str(FILTER_TIMEOUT), *more],
        capture_output=True, text=True, check=False, user=user, group=user,
        extra_groups=None if user is None else [])
    if run.returncode:
        raise LabError(f"fprctl filter: {run.stderr.strip()}")
    return int(json.loads(run.stdout)["filtered_pages"])


def compare(original: Snapvmm, restored: Snapvmm, filtered: Callable[[int], bool]) -> int:
    """How many pages differ in two guests that stand still. Each must have been filtered."""
    left, right = original.ram(), restored.ram()
    differing = differing_pages(left, right)
    lost = [page for page in differing if not filtered(page)]
    if lost:
        raise LostPages(len(lost), f"{len(lost)} of {len(differing)} differing pages were not filtered; "
                                   f"the first is {first_difference(left, right, lost[0])}")
    return len(differing)


def check_running(vmm: Snapvmm, after_first: Callable[[], None] = lambda: None) -> list[Verified]:
    """Let a restored guest go on, and check all of its live pages, twice; call this when it was done once. The
    first question waits in the UART when the guest starts."""
    tag = vmm.port.send("verify")
    vmm.resume()
    first = vmm.port.verified(tag)
    after_first()
    time.sleep(SECONDS_BETWEEN_CHECKS)
    vmm.port.wait_beat()
    checks = [first, vmm.port.verified(vmm.port.send("verify"))]
    check_guest(checks)
    return checks


class Machines:
    """The machines that a chain of snapshots goes through."""

    def __init__(self, tools: Tools, directory: Path, stack: contextlib.ExitStack) -> None:
        self._tools = tools
        self._directory = directory
        self._stack = stack
        self._machines: list[Snapvmm] = []

    def start(self, arguments: Iterable[str]) -> Snapvmm:
        """Start one more machine."""
        command = [str(self._tools.examples / "snapvmm"), *arguments]
        vmm = Snapvmm(command, self._directory / f"vmm{len(self._machines)}")
        self._stack.callback(vmm.end)
        self._machines.append(vmm)
        return vmm

    def recorder(self, vmm: Snapvmm) -> Recorder:
        """What records the reports of that machine's guest."""
        recorder = Recorder(vmm.directory / "recorded", vmm.directory / "report")
        self._stack.callback(recorder.end)
        return recorder

    def last_lines(self) -> str:
        """What its machines' guests said last, for a person who has to find out why one hangs."""
        return "; ".join(" | ".join(vmm.port.last_lines) or "nothing" for vmm in self._machines)

    def check_consoles(self) -> None:
        """No trouble in any guest's log."""
        for vmm in self._machines:
            if line := vmm.trouble():
                raise LabError(f"the guest's kernel says: {line}")


class Session(Machines):
    """One chain of snapshots, and the machines that it goes through."""

    def __init__(self, plan: SnapshotPlan, tools: Tools, directory: Path, stack: contextlib.ExitStack) -> None:
        super().__init__(tools, directory, stack)
        self._plan = plan
        self.chain = Chain()

    def take(self, vmm: Snapvmm, recorder: Recorder, last: bool) -> None:
        """The chain's next file, after which the guest stands still if it is the last one."""
        if self._plan.filtered and self.chain.files:
            self.chain.filtered_pages.append(filter_pages(self._tools, vmm.pid, recorder))
        if last:
            vmm.pause()
        file = self._directory / f"snapshot{len(self.chain.files)}"
        self.chain.sizes.append(vmm.snapshot(file))
        self.chain.files.append(file)

    def record(self, vmm: Snapvmm, recorder: Recorder) -> None:
        """All files that are taken of the guest that boots."""
        self.take(vmm, recorder, False)
        vmm.resume()
        vmm.port.wait_for("ready")
        for number in range(self._plan.snapshots):
            for _ in range(BEATS_BETWEEN * bool(number)):
                vmm.port.wait_beat()
            self.take(vmm, recorder, number == self._plan.snapshots - 1)

    def restore(self, original: Snapvmm, recorder: Recorder) -> Snapvmm:
        """The guest of the whole chain, once it was found to be the same."""
        vmm = self.start(restore_arguments(self.chain.files))
        self.chain.differing_pages.append(compare(original, vmm, recorder.free))
        original.end()
        self.chain.verified_pages += [check.pages for check in check_running(vmm)]
        return vmm


def result_of(plan: SnapshotPlan, chain: Chain) -> dict[str, Any]:
    """The result of a chain, for lab/snapshot."""
    return {"workload": plan.workload, "repeat": plan.repeat, "filtered": plan.filtered,
            "guest_mib": plan.guest_mib, "verified": True,
            "first_bytes": chain.sizes[0], "diff_bytes": chain.sizes[1:], "filtered_pages": chain.filtered_pages,
            "differing_pages": chain.differing_pages, "verified_pages": chain.verified_pages}


@contextlib.contextmanager
def told_on_error(tell: Callable[[], None]) -> Iterator[None]:
    """Call this, which tells more, when something goes wrong inside."""
    try:
        yield
    except BaseException:
        tell()
        raise


def run_plan(plan: SnapshotPlan, tools: Tools, directory: Path, show: Callable[[str], None]) -> dict[str, Any]:
    """Take and verify; LabError if anything at all is wrong."""
    stage = Stage(plan.label(), show)
    with contextlib.ExitStack() as stack:
        stack.enter_context(time_limit(plan.timeout, stage))
        session = Session(plan, tools, directory, stack)
        stack.enter_context(told_on_error(lambda: stage.note(f"; guests said last: {session.last_lines()}")))
        stage.enter("booting and taking snapshots")
        vmm = session.start(boot_arguments(tools.guest, plan.workload, plan.guest_mib))
        recorder = session.recorder(vmm)
        session.record(vmm, recorder)

        stage.enter("verifying the restored guest")
        vmm = session.restore(vmm, recorder)
        recorder = session.recorder(vmm)
        session.take(vmm, recorder, True)

        stage.enter("verifying a guest that was restored twice")
        session.restore(vmm, recorder)
        session.check_consoles()
        stage.enter(f"verified; snapshots of {', '.join(f'{size >> 20}' for size in session.chain.sizes)} MiB")
    return result_of(plan, session.chain)
