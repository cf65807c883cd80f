# SPDX-License-Identifier: GPL-2.0-only
"""What something long is at, for progress and for who ends it when it hangs."""

import contextlib
import signal
import time
from types import FrameType
from typing import Callable, Iterator, Optional

from ..common.errors import LabError


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
        """Show the stage, with a detail."""
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
