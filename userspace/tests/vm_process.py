# SPDX-License-Identifier: GPL-2.0-only
"""Other processes with stand-ins of VMs, for the shim."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

from fprlab.common.tap import Skip


def start_owner(script: str, *arguments: str) -> tuple[subprocess.Popen[bytes], list[int]]:
    """Start a process that opens VMs; return it and the descriptors it printed."""
    process = subprocess.Popen(
        [sys.executable, "-c", "import os, sys\n"
         "vm = lambda: os.memfd_create('kvm-vm')\n"
         f"print(*({script}), flush=True)\nsys.stdin.read()", *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    return process, [int(fd) for fd in process.stdout.readline().split()]


@contextlib.contextmanager
def owner(script: str, *arguments: str) -> Iterator[tuple[int, list[int]]]:
    """The pid of such a process and its descriptors; the arguments are on its command line."""
    process, fds = start_owner(script, *arguments)
    with process:
        yield process.pid, fds


def skip_without_pidfd_getfd() -> None:
    """valgrind does not know every system call."""
    if os.environ.get("FPRCTL_WRAPPER"):
        raise Skip("the wrapper may not know pidfd_getfd and kcmp")
