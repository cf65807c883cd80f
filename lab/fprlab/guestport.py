# SPDX-License-Identifier: GPL-2.0-only
"""The host's end of the line protocol that lab/guest.c speaks."""

import dataclasses
import re
import socket
from typing import Optional

from . import LabError

VERIFIED = re.compile(r"pages=(\d+) wrong=(\d+) total=(\d+)(?: first=(\S+))?$")


@dataclasses.dataclass(frozen=True)
class Verified:
    """One check of all live pages by the guest."""

    pages: int
    wrong: int
    total_wrong: int  # by any check since the guest started
    first: Optional[str]  # the first wrong page ever found


def parse_verified(text: str) -> Verified:
    """The answer to "verify", without its tag."""
    match = VERIFIED.match(text)
    if not match:
        raise LabError(f"the guest's answer to verify is unreadable: {text!r}")
    pages, wrong, total = (int(number) for number in match.group(1, 2, 3))
    return Verified(pages, wrong, total, match.group(4))


class GuestPort:
    """A connection to the guest's port in one QEMU."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._lines = self._socket.makefile("r", encoding="ascii", errors="replace")
        self._tag = 0

    def _read(self) -> str:
        line = self._lines.readline()
        if not line:
            raise LabError("QEMU closed the guest's port: the guest or QEMU has ended")
        line = line.rstrip("\n")
        if line.startswith("fatal "):
            raise LabError(f"the guest gave up: {line[6:]}")
        return line

    def wait_for(self, prefix: str) -> str:
        """The rest of the next line that begins so. Others are passed over: beats,
        and on a destination the second half of a line that the source took."""
        while True:
            line = self._read()
            if line.startswith(prefix):
                return line[len(prefix):].strip()

    def tell(self, command: str) -> None:
        """Say what has no answer."""
        self._socket.sendall(f"{command}\n".encode("ascii"))

    def send(self, command: str) -> str:
        """Ask; the tag that the answer will begin with is returned."""
        self._tag += 1
        tag = f"{command} {self._tag}"
        self.tell(tag)
        return tag

    def needed_bytes(self) -> int:
        """Memory that isn't free, as the guest counts it."""
        return int(self.wait_for(self.send("needed") + " "))

    def free_bytes(self) -> tuple[int, int]:
        """Memory that is free now, and the least since this was asked last."""
        now, lowest = self.wait_for(self.send("free") + " ").split()
        return int(now), int(lowest)

    def wall_clock(self) -> int:
        """Guest physical address of the time that KVM keeps there, 0 if nowhere."""
        return int(self.wait_for(self.send("wallclock") + " "))

    def verified(self, tag: str) -> Verified:
        """The answer to a "verify" that was sent."""
        return parse_verified(self.wait_for(tag + " "))

    def wait_beat(self) -> int:
        """The number of the next beat."""
        return int(self.wait_for("beat ").split()[0])

    def close(self) -> None:
        """End the connection."""
        self._lines.close()
        self._socket.close()
