# SPDX-License-Identifier: GPL-2.0-only
"""The race in which stock hints lose a guest's write, as features like those of feature.py."""

import ctypes
import os
import time
from pathlib import Path
from typing import Sequence

from ..qmp import Qmp
from .feature import Feature, Side
from .holding import HELD, let_go

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.ptrace.restype = ctypes.c_long
LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
# From linux/ptrace.h and linux/wait.h
PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
WALL = 0x40000000

HINT_THREAD = "io0"  # the balloon's iothread
CHUNK_BYTES = 4 << 20  # that a hint takes out of what is to be sent
SETTLED_SECONDS = 4.0  # without a hint that was taken, though its thread may run at once


def many_chunks(_directory: Path, _incoming: bool) -> Sequence[str]:
    """KVM's log is cleared in chunks of 4 MiB, of which a guest of 512 MiB has as many
    as one of 128 GiB has of QEMU's 1 GiB."""
    return "-global", "migration.x-clear-bitmap-shift=10"


def ptrace(request: int, thread: int) -> None:
    """Of ptrace(2), what needs no more than a thread."""
    if LIBC.ptrace(request, thread, None, None):
        raise OSError(ctypes.get_errno(), f"ptrace {request:#x} of thread {thread}")


def hint_threads(qmp: Qmp) -> list[int]:
    """The threads that take the guest's hints."""
    return [thread["thread-id"] for thread in qmp.execute("query-iothreads") if thread["id"] == HINT_THREAD]


def stop_hints(qmp: Qmp) -> None:
    """Let no hint be taken, as on a busy host, where any thread may have to wait for as long as others run. It waits for
    something to do now, so that it holds no lock."""
    for thread in hint_threads(qmp):
        ptrace(PTRACE_SEIZE, thread)
        ptrace(PTRACE_INTERRUPT, thread)
        os.waitpid(thread, WALL)


def remaining(qmp: Qmp) -> int:
    """How many bytes are still to be sent."""
    return int(qmp.execute("query-migrate")["ram"]["remaining"])


def take_hints(source: Side) -> None:
    """Let hints be taken, now that the guest has filled what it hinted; and let the migration go on when none is left.
    Until then next to nothing is sent, however long the guest takes."""
    for thread in hint_threads(source.qmp):
        ptrace(PTRACE_DETACH, thread)
    before = remaining(source.qmp)
    while True:
        time.sleep(SETTLED_SECONDS)
        left = remaining(source.qmp)
        if before - left < CHUNK_BYTES:
            break
        before = left
    let_go(source.qmp)


CHUNKS = Feature("many-chunks", arguments=many_chunks)
# How soon hints are taken.
RACE_KINDS = {
    "prompt": (CHUNKS,),
    "waiting": (CHUNKS, Feature("stopped-hints", parameters=HELD, before=stop_hints, filled=take_hints)),
}
