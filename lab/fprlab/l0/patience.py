# SPDX-License-Identifier: GPL-2.0-only
"""Time limits that end what hangs, and not what a busy machine keeps waiting."""

import math
import time
from pathlib import Path
from typing import Optional

LOOK = 1.0  # seconds between two looks at the threads


def waited(pid: int) -> dict[str, float]:
    """For how many seconds each thread of a process was ready to run and had no CPU."""
    found = {}
    for task in Path(f"/proc/{pid}/task").glob("*"):
        try:
            found[task.name] = int((task / "schedstat").read_text(encoding="ascii").split()[1]) / 1e9
        except (OSError, IndexError):
            pass  # it has just ended, or this kernel does not count
    return found


class Patience:
    """A number of seconds for a process. Those in which one of its threads waited for a CPU, which other
    programs had, do not count: a process that hangs waits for none, or gets its share."""

    def __init__(self, seconds: Optional[float], pid: int) -> None:
        self._left = math.inf if seconds is None else seconds
        self._pid = pid
        self._looked = time.monotonic()
        self._waited = waited(pid)

    def left(self) -> float:
        """How much is left, in seconds; infinity without a limit. To be called about every LOOK seconds."""
        now = time.monotonic()
        if now - self._looked >= LOOK:
            before, self._waited = self._waited, waited(self._pid)
            most = max((total - before.get(task, 0) for task, total in self._waited.items()), default=0)
            self._left -= max(0, now - self._looked - most)
            self._looked = now
        return self._left
