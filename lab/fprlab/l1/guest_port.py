# SPDX-License-Identifier: GPL-2.0-only
"""The host's end of the line protocol that lab/l2/guest.c speaks."""

import dataclasses
import re
import select
from collections import deque
from typing import Optional, Union

from ..common.errors import LabError
from .waiting import connect

# A guest that says nothing for so many seconds, or beats so often without an answer, is
# poked: the emulator has been seen to lose an interrupt of a guest that was migrated, of
# its timer or its UART, and the next one wakes it.
SILENCE = 60.0
UNHEARD_BEATS = 60
LAST_LINES = 5  # are kept for a person who wants to know what it said
VERIFIED = re.compile(r"pages=(\d+) wrong=(\d+) total=(\d+)(?: first=(\S+))?$")


@dataclasses.dataclass(frozen=True)
class Work:
    """What a guest has done since its workload began."""

    loops: int  # units of work, see lab/l2/guest.c
    ms: int  # the guest's clock
    agent_us: int  # CPU time of its agent


@dataclasses.dataclass(frozen=True)
class Verified:
    """One check of all live pages by the guest."""

    pages: int
    wrong: int
    total_wrong: int  # by any check since the guest started
    first: Optional[str]  # the first wrong page ever found


def parse_work(text: str) -> Work:
    """The answer to "work", without its tag."""
    return Work(*map(int, text.split()))


def parse_verified(text: str) -> Verified:
    """The answer to "verify", without its tag."""
    match = VERIFIED.match(text)
    if not match:
        raise LabError(f"the guest's answer to verify is unreadable: {text!r}")
    pages, wrong, total = (int(number) for number in match.group(1, 2, 3))
    return Verified(pages, wrong, total, match.group(4))


class GuestPort:
    """A connection to the guest's port in one VMM: a path, or a host and a TCP port."""

    def __init__(self, address: Union[str, tuple[str, int]]) -> None:
        self._socket = connect(address)
        self._unread = b""
        self._tag = 0
        self.last_lines: deque[str] = deque(maxlen=LAST_LINES)
        self.pokes = 0

    def _read(self) -> Optional[str]:
        """The next line, or None if it says nothing for long."""
        while b"\n" not in self._unread:
            if not select.select([self._socket], [], [], SILENCE)[0]:
                return None
            data = self._socket.recv(4096)
            if not data:
                raise LabError("the guest's port was closed: the guest or its VMM has ended")
            self._unread += data
        encoded, _, self._unread = self._unread.partition(b"\n")
        line = encoded.decode("ascii", "replace")
        self.last_lines.append(line)
        if line.startswith("fatal "):
            raise LabError(f"the guest gave up: {line[6:]}")
        return line

    def _poke(self) -> None:
        """Send an empty line, which the guest answers as an unknown command."""
        self.pokes += 1
        self.tell("")

    def wait_for(self, prefix: str) -> str:
        """The rest of the next line that begins so. Others are passed over: beats,
        and on a destination the second half of a line that the source took."""
        beats = 0
        while True:
            line = self._read()
            if line is not None and line.startswith(prefix):
                return line[len(prefix):].strip()
            beats += line is not None and line.startswith("beat ")
            if line is None or beats == UNHEARD_BEATS:
                self._poke()
                beats = 0

    def tell(self, command: str) -> None:
        """Send a command that has no answer."""
        self._socket.sendall(f"{command}\n".encode("ascii"))

    def send(self, command: str) -> str:
        """Send a question; returns the tag with which the answer will begin."""
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

    def work(self) -> Work:
        """What it has done until now."""
        return parse_work(self.wait_for(self.send("work") + " "))

    def free_map(self) -> int:
        """Guest physical address of the map of free pages that it makes, see lab/l2/guest_free_map.h."""
        return int(self.wait_for(self.send("map") + " "))

    def verified(self, tag: str) -> Verified:
        """The answer to a "verify" that was sent."""
        return parse_verified(self.wait_for(tag + " "))

    def wait_beat(self) -> int:
        """The number of the next beat."""
        return int(self.wait_for("beat ").split()[0])

    def close(self) -> None:
        """End the connection."""
        self._socket.close()
