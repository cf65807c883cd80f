# SPDX-License-Identifier: GPL-2.0-only
"""An agent that answers QEMU's requests for reports as no guest should.

Whatever it says calls all of the guest's memory free: a migration that believed any of
it would lose pages. But for one it shows that it is there, as an agent that is worth
waiting for does. Documentation/protocol.rst has the format.
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
NO_EPOCH = 0  # the tag by which QEMU asks whether there is an agent
BEYOND = 1 << 40  # pages, more than any guest has
BEYOND_CHUNKS = 4096


def response(tag: int, npages: int) -> bytes:
    """The header of a report."""
    header = struct.pack("<IHHQQI", 0x52525046, 1, 0, tag, npages, PAGE_SHIFT)
    return header + struct.pack("<I", zlib.crc32(header))


def chunk(seed: int, first_pfn: int, npages: int) -> bytes:
    """A chunk whose pages are all free; the seed is the header's checksum."""
    record = struct.pack("<IHHQI", 0x43525046, ALL_FREE, 0, first_pfn, npages)
    return record + struct.pack("<I", zlib.crc32(record, seed))


def everything_free(tag: int, npages: int, first_pfn: int = 0) -> bytes:
    """A whole report, right in all but what it says: that all pages from one on are free."""
    header = response(tag, npages)
    seed = struct.unpack("<I", header[-4:])[0]
    firsts = range(first_pfn, npages, CHUNK_PAGES)
    chunks = b"".join(chunk(seed, first, min(CHUNK_PAGES, npages - first)) for first in firsts)
    end = struct.pack("<IIQ", 0x45525046, len(firsts), npages - first_pfn)
    return header + chunks + end + struct.pack("<I", zlib.crc32(end, seed))


class MisbehavingAgent:
    """A server at a socket, which one QEMU asks."""

    def __init__(self, path: Path, answer: "Answer", npages: int) -> None:
        self.npages = npages
        self._answer = answer
        self.requests = 0
        self.answered = 0
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
                    if tag == NO_EPOCH and self._answer is not nothing:
                        self.send(connection, self.everything(tag))
                    else:
                        self._answer(self, connection, tag)
                    self.answered += 1
            except OSError:
                pass  # QEMU has ended, or we have closed the connection

    def send(self, connection: socket.socket, data: bytes) -> None:
        """Send and count."""
        connection.sendall(data)
        self.sent += len(data)

    def everything(self, tag: int) -> bytes:
        """The report that must not be believed."""
        return everything_free(tag, self.npages)

    def flood(self, connection: socket.socket) -> None:
        """Data without end."""
        data = os.urandom(1 << 20)
        while not self._ending:
            self.send(connection, data)

    def end(self) -> None:
        """Stop answering."""
        self._ending = True
        self._server.close()


def nothing(_agent: MisbehavingAgent, _connection: socket.socket, _tag: int) -> None:
    """No answer."""


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


def vast(agent: MisbehavingAgent, connection: socket.socket, tag: int) -> None:
    """More memory than there is, all of which is free where there is none."""
    header = response(tag, BEYOND)
    seed = struct.unpack("<I", header[-4:])[0]
    first = -(-agent.npages // CHUNK_PAGES) * CHUNK_PAGES + (1 << 30)
    agent.send(connection, header + b"".join(
        chunk(seed, first + number * CHUNK_PAGES, CHUNK_PAGES) for number in range(BEYOND_CHUNKS)))


def lie(agent: MisbehavingAgent, connection: socket.socket, tag: int) -> None:
    """What is believed, about the end of the memory: for a guest that goes nowhere."""
    agent.send(connection, everything_free(tag, agent.npages, agent.npages - CHUNK_PAGES))


# A port that nobody in the guest has opened
ABSENT = "absent"
Answer = Callable[[MisbehavingAgent, socket.socket, int], None]
BEHAVIOURS: dict[str, Answer] = {
    ABSENT: nothing,
    "silent": lambda agent, connection, tag: None,
    "wrong-epoch": lambda agent, connection, tag: agent.send(connection, agent.everything(tag + 1)),
    "late": late,
    "garbage": garbage,
    "wrong-checksum": wrong_checksum,
    "half": half,
    "gone": lambda agent, connection, tag: connection.shutdown(socket.SHUT_RDWR),
    "flood": lambda agent, connection, tag: agent.flood(connection),
    "vast": vast,
}
