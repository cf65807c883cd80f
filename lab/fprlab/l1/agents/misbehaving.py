# SPDX-License-Identifier: GPL-2.0-only
"""An agent that answers QEMU's requests for reports as no guest should.

Whatever it says calls all of the guest's memory free: a migration that believed any of
it would lose pages. Documentation/virt/kvm/free-page-report.rst has the format.
"""

import os
import socket
import struct
import threading
import time
import zlib
from pathlib import Path
from typing import Callable

REQUEST_LEN = 20
CHUNK_PAGES = 32768
PAGE_SHIFT = 12
ALL_FREE = 1
LATE = 1.0  # seconds


def response(tag: int, npages: int) -> bytes:
    """The header of a report."""
    header = struct.pack("<IHHQQI", 0x52525046, 1, 0, tag, npages, PAGE_SHIFT)
    return header + struct.pack("<I", zlib.crc32(header))


def chunk(seed: int, first_pfn: int, npages: int) -> bytes:
    """A chunk whose pages are all free; the seed is the header's checksum."""
    record = struct.pack("<IHHQI", 0x43525046, ALL_FREE, 0, first_pfn, npages)
    return record + struct.pack("<I", zlib.crc32(record, seed))


def everything_free(tag: int, npages: int) -> bytes:
    """A whole report, right in all but what it says."""
    header = response(tag, npages)
    seed = struct.unpack("<I", header[-4:])[0]
    firsts = range(0, npages, CHUNK_PAGES)
    chunks = b"".join(chunk(seed, first, min(CHUNK_PAGES, npages - first)) for first in firsts)
    end = struct.pack("<IIQ", 0x45525046, len(firsts), npages)
    return header + chunks + end + struct.pack("<I", zlib.crc32(end, seed))


class MisbehavingAgent:
    """A server at a socket, which one QEMU asks."""

    def __init__(self, path: Path, behaviour: str, npages: int) -> None:
        self._npages = npages
        self._answer = BEHAVIOURS[behaviour]
        self.requests = 0
        self.sent = 0
        self._ending = False
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._server.accept()
        with connection:
            try:
                while request := connection.recv(REQUEST_LEN, socket.MSG_WAITALL):
                    self.requests += 1
                    tag = struct.unpack("<Q", request[8:16])[0]
                    self._answer(self, connection, tag)
            except OSError:
                pass  # QEMU has ended, or we have closed the connection

    def send(self, connection: socket.socket, data: bytes) -> None:
        """Send and count."""
        connection.sendall(data)
        self.sent += len(data)

    def everything(self, tag: int) -> bytes:
        """The report that must not be believed."""
        return everything_free(tag, self._npages)

    def flood(self, connection: socket.socket) -> None:
        """Data without end."""
        data = os.urandom(1 << 20)
        while not self._ending:
            self.send(connection, data)

    def end(self) -> None:
        """Stop answering."""
        self._ending = True
        self._server.close()


def half(agent: MisbehavingAgent, connection: socket.socket, tag: int) -> None:
    """A right header, and the first half of a chunk."""
    agent.send(connection, agent.everything(tag)[:32 + 12])


def wrong_checksum(agent: MisbehavingAgent, connection: socket.socket, tag: int) -> None:
    """The first chunk is not what its checksum says."""
    data = bytearray(agent.everything(tag))
    data[32 + 20] ^= 1
    agent.send(connection, bytes(data))


def late(agent: MisbehavingAgent, connection: socket.socket, tag: int) -> None:
    """The answer comes when the epoch is over, as far as a second does it."""
    time.sleep(LATE)
    agent.send(connection, agent.everything(tag - 1))


def garbage(agent: MisbehavingAgent, connection: socket.socket, tag: int) -> None:
    """Something else, with a report of no epoch in its middle."""
    agent.send(connection, os.urandom(100_000) + agent.everything(tag + 1) + os.urandom(100_000))


BEHAVIOURS: dict[str, Callable[[MisbehavingAgent, socket.socket, int], None]] = {
    "silent": lambda agent, connection, tag: None,
    "wrong-epoch": lambda agent, connection, tag: agent.send(connection, agent.everything(tag + 1)),
    "late": late,
    "garbage": garbage,
    "wrong-checksum": wrong_checksum,
    "half": half,
    "gone": lambda agent, connection, tag: connection.shutdown(socket.SHUT_RDWR),
    "flood": lambda agent, connection, tag: agent.flood(connection),
}
