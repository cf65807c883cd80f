# SPDX-License-Identifier: GPL-2.0-only
"""An agent that answers QEMU's requests for reports as no guest should.

Whatever it says calls all of the guest's memory free: a migration that believed any of
it would lose pages. But for one it shows that it is there, as an agent that is worth
waiting for does. Documentation/protocol.rst has the format.
"""

import os
import socket
import threading
import time
from pathlib import Path
from typing import Callable

from ...common import wire

LATE = 1.0  # seconds
BEYOND = 1 << 40  # pages, more than any guest has
BEYOND_CHUNKS = 4096


class MisbehavingAgent:
    """A server at a socket, which one QEMU asks."""

    def __init__(self, path: Path, answer: "Answer", npages: int) -> None:
        self.npages = npages
        self._answer = answer
        self.requests = 0
        self.in_epochs = 0  # those of them with an epoch
        self.answered = 0
        self.sent = 0
        self.may_answer = threading.Event()  # lie() waits for it in an epoch
        self.may_answer.set()
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
                while request := connection.recv(wire.REQUEST_LEN, socket.MSG_WAITALL):
                    self.requests += 1
                    tag = wire.decode_request(request)
                    self.in_epochs += tag != wire.NO_EPOCH
                    if tag == wire.NO_EPOCH and self._answer is not nothing:
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
        return wire.all_free(tag, self.npages)

    def flood(self, connection: socket.socket) -> None:
        """Send random bytes without end."""
        data = os.urandom(1 << 20)
        while not self._ending:
            self.send(connection, data)

    def end(self) -> None:
        """Stop answering."""
        self._ending = True
        self._server.close()


def nothing(_agent: MisbehavingAgent, _connection: socket.socket, _tag: int) -> None:
    """Send no answer."""


def half(agent: MisbehavingAgent, connection: socket.socket, tag: int) -> None:
    """Send a right header, and the first half of a chunk's record."""
    agent.send(connection, agent.everything(tag)[:wire.HEADER_LEN + wire.CHUNK.size // 2])


def wrong_checksum(agent: MisbehavingAgent, connection: socket.socket, tag: int) -> None:
    """Send a report whose first chunk does not match its checksum."""
    data = bytearray(agent.everything(tag))
    data[wire.HEADER_LEN + wire.CHUNK.size] ^= 1
    agent.send(connection, bytes(data))


def late(agent: MisbehavingAgent, connection: socket.socket, tag: int) -> None:
    """Answer a second later, for the epoch before, which is over by then."""
    time.sleep(LATE)
    agent.send(connection, agent.everything(tag - 1))


def garbage(agent: MisbehavingAgent, connection: socket.socket, tag: int) -> None:
    """Send random bytes, with a report for a wrong epoch in their middle."""
    agent.send(connection, os.urandom(100_000) + agent.everything(tag + 1) + os.urandom(100_000))


def vast(agent: MisbehavingAgent, connection: socket.socket, tag: int) -> None:
    """Report more memory than there is, and call free what does not exist."""
    header = wire.header(tag, BEYOND)
    first = -(-agent.npages // wire.CHUNK_PAGES) * wire.CHUNK_PAGES + (1 << 30)
    agent.send(connection, header + b"".join(
        wire.free_chunk(header, first + number * wire.CHUNK_PAGES, wire.CHUNK_PAGES) for number in range(BEYOND_CHUNKS)))


def lie(agent: MisbehavingAgent, connection: socket.socket, tag: int) -> None:
    """Report the last chunk of the memory as free, in a right report. Only for migrations that never end."""
    agent.may_answer.wait()
    agent.send(connection, wire.all_free(tag, agent.npages, agent.npages - wire.CHUNK_PAGES))


# The guest has the port, and nobody in it has opened that
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
