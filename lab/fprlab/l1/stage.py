# SPDX-License-Identifier: GPL-2.0-only
"""What something long is at, for progress and for who ends it when it hangs."""

import contextlib
import os
import signal
import time
from pathlib import Path
from types import FrameType
from typing import Callable, Iterator, Optional

from ..common.errors import LabError

WORKING = 0.1        # part of the time that a guest runs which does not just idle
WORKING_FACTOR = 10  # times the limit: a guest that runs for longer hangs, too


class Stage:
    """What a run is at, for progress and for the message of a time limit."""

    def __init__(self, label: str, show: Callable[[str], None]) -> None:
        self._label = label
        self._show = show
        self._start = self.moved = time.monotonic()
        self.name = ""
        self.limit = 0  # seconds without progress, 0: none; time_limit() sets it

    def enter(self, name: str) -> None:
        """A new stage begins."""
        self.name = name
        self.progress()
        self.note("")

    def progress(self) -> None:
        """Something was done, so nothing hangs."""
        self.moved = time.monotonic()
        if self.limit:
            signal.alarm(self.limit)

    def note(self, detail: str) -> None:
        """Show the stage, with a detail."""
        elapsed = time.monotonic() - self._start
        self._show(f"{self._label}: {elapsed:3.0f} s: {self.name}{detail}")


def worked() -> float:
    """For how many seconds the child processes have run so far, in all their threads."""
    ticks = 0
    for children in Path("/proc/self/task").glob("*/children"):
        for pid in children.read_text(encoding="ascii").split():
            with contextlib.suppress(OSError):  # it has just ended
                stat = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
                ticks += int(stat[11]) + int(stat[12])
    return ticks / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def time_limit(seconds: int, stage: Stage) -> Iterator[None]:
    """Whatever blocks inside is interrupted when there was no progress for so many seconds. While the child
    processes, which are VMMs, work, that can be some times as long: a guest boots slowly on a busy machine."""
    before = 0.0

    def expired(_signal: int, _frame: Optional[FrameType]) -> None:
        nonlocal before
        now = worked()
        waited = time.monotonic() - stage.moved
        if now - before > WORKING * seconds and waited < WORKING_FACTOR * seconds:
            before = now
            signal.alarm(seconds)
            return
        raise LabError(f"no progress for {waited:.0f} s; it was at: {stage.name}")

    previous = signal.signal(signal.SIGALRM, expired)
    stage.limit = seconds
    stage.progress()
    try:
        yield
    finally:
        stage.limit = 0
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)
