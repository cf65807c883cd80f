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
SECONDS_BETWEEN_LOOKS = 2.0  # at a thread that may have taken all hints, and has then nothing to do
MOST_LOOKS = 15


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


def times_woken(thread: int) -> str:
    """A number that changes when a thread has had something to do."""
    lines = Path(f"/proc/{thread}/status").read_text(encoding="ascii").splitlines()
    return next(line for line in lines if line.startswith("voluntary_ctxt_switches"))


def take_hints(source: Side) -> None:
    """Let hints be taken, now that the guest has filled what it hinted; and let the migration go on when no more come.
    Until then little is sent, however long the guest takes."""
    threads = hint_threads(source.qmp)
    for thread in threads:
        ptrace(PTRACE_DETACH, thread)
    before: list[str] = []
    for _ in range(MOST_LOOKS):
        time.sleep(SECONDS_BETWEEN_LOOKS)
        now = [times_woken(thread) for thread in threads]
        if now == before:
            break
        before = now
    let_go(source.qmp)


CHUNKS = Feature("many-chunks", arguments=many_chunks)
# How soon hints are taken.
RACE_KINDS = {
    "prompt": (CHUNKS,),
    "waiting": (CHUNKS, Feature("stopped-hints", parameters=HELD, before=stop_hints, filled=take_hints)),
}
