# SPDX-License-Identifier: GPL-2.0-only
"""Two hosts on this machine: network namespaces with a cable between them."""

import subprocess
from types import TracebackType
from typing import Optional, Type

from ..common.errors import LabError

NAMES = ("fpr0", "fpr1")
ADDRESSES = ("10.0.0.1", "10.0.0.2")
FIRST_PORT = 4000
FEW_RETRIES = 3  # of TCP, 3 s in all


def ip(*words: str) -> None:
    """Run iproute2's ip."""
    run = subprocess.run(["ip", *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if run.returncode:
        raise LabError(f"ip {' '.join(words)}: {run.stderr.strip()}")


class Network:
    """The hosts 0 and 1; needs root and the kernel's module veth."""

    def __init__(self) -> None:
        self._port = FIRST_PORT

    def __enter__(self) -> "Network":
        for name in NAMES:
            ip("netns", "add", name)
        ip("link", "add", "cable", "netns", NAMES[0], "type", "veth", "peer", "name", "cable", "netns", NAMES[1])
        for name, address in zip(NAMES, ADDRESSES):
            ip("-n", name, "address", "add", f"{address}/30", "dev", "cable")
            ip("-n", name, "link", "set", "cable", "up")
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], value: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        for name in NAMES:
            ip("netns", "delete", name)

    @staticmethod
    def prefix(host: int) -> tuple[str, ...]:
        """The command that runs another on a host. All else the hosts share."""
        return ("nsenter", f"--net=/run/netns/{NAMES[host]}", "--")

    def uri(self, host: int) -> str:
        """Where a host listens; each time somewhere else."""
        self._port += 1
        return f"tcp:{ADDRESSES[host]}:{self._port}"

    def give_up_soon(self, host: int) -> None:
        """Let a host's TCP say after seconds, and not after a quarter of an hour, that nobody takes what it sends."""
        subprocess.run([*self.prefix(host), "sh", "-c", f"echo {FEW_RETRIES} > /proc/sys/net/ipv4/tcp_retries2"],
                       check=True)

    @staticmethod
    def cut(host: int) -> None:
        """Pull the cable out of a host."""
        ip("-n", NAMES[host], "link", "set", "cable", "down")

    @staticmethod
    def join(host: int) -> None:
        """Put the cable back."""
        ip("-n", NAMES[host], "link", "set", "cable", "up")
