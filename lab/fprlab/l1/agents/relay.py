# SPDX-License-Identifier: GPL-2.0-only
"""Between QEMU and the guest's own agent: what a guest does in the middle of a report.

The reports are the guest's own. Documentation/protocol.rst has the format.
"""

import fcntl
import socket
import struct
import sys
import termios
import threading
from pathlib import Path
from typing import Callable, Optional

from .misbehaving import NO_EPOCH, REQUEST_LEN

RESPONSE_LEN = 32
RECORD_LEN = 24  # of a chunk, without its payload
END_LEN = 20
END = 0x45525046
PAYLOAD_AT = 6
TAG_AT = 8  # of a request
INTERRUPT_TIMEOUT = 180.0  # seconds


def receive(connection: socket.socket, size: int) -> bytes:
    """So many bytes, or EOFError."""
    data = connection.recv(size, socket.MSG_WAITALL)
    if len(data) < size:
        raise EOFError
    return data


def receive_report(guest: socket.socket) -> bytes:
    """One whole report of the guest."""
    report = receive(guest, RESPONSE_LEN)
    while True:
        record = receive(guest, END_LEN)
        if struct.unpack("<I", record[:4])[0] == END:
            return report + record
        payload = struct.unpack("<H", record[PAYLOAD_AT:PAYLOAD_AT + 2])[0]
        report += record + receive(guest, RECORD_LEN - END_LEN + payload)


class Relay:
    """A server at a socket, which QEMU asks, and a client of the guest's port."""

    def __init__(self, path: Path, behaviour: str, port: Path) -> None:
        self._forward = RELAYS[behaviour]
        self.interrupt = INTERRUPTS.get(behaviour)  # QMP command for the middle of the first report
        self.in_the_middle = threading.Event()
        self.go_on = threading.Event()
        self.requests = 0  # that the guest was told of, with an epoch
        self._connection: Optional[socket.socket] = None
        self._guest = socket.socket(socket.AF_UNIX)
        self._port = port
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        connection, _ = self._server.accept()
        self._connection = connection
        with connection:
            try:
                self._guest.connect(str(self._port))
                while True:
                    request = receive(connection, REQUEST_LEN)
                    self._guest.sendall(request)
                    if struct.unpack("<Q", request[TAG_AT:TAG_AT + 8])[0] == NO_EPOCH:
                        connection.sendall(receive_report(self._guest))
                        continue
                    self.requests += 1
                    self._forward(self, connection, receive_report(self._guest))
            except (OSError, EOFError):
                pass  # QEMU has ended, or we have closed the connections

    def asked(self) -> int:
        """How often QEMU has asked, also while a guest that has crashed does not answer."""
        if not self._connection or self._connection.fileno() < 0:
            return self.requests
        unread = fcntl.ioctl(self._connection, termios.FIONREAD, bytes(4))
        return self.requests + int.from_bytes(unread, sys.byteorder) // REQUEST_LEN

    def interrupted(self, connection: socket.socket, report: bytes) -> None:
        """The report, with something that happens to the guest in the middle of the first."""
        half = len(report) // 2
        connection.sendall(report[:half])
        if self.requests == 1:
            self.in_the_middle.set()
            self.go_on.wait(INTERRUPT_TIMEOUT)
        connection.sendall(report[half:])

    def end(self) -> None:
        """Stop answering."""
        self.go_on.set()
        self._server.close()
        self._guest.close()


def twice(_relay: Relay, connection: socket.socket, report: bytes) -> None:
    """Nobody expects the second one any more."""
    connection.sendall(report + report)


RELAYS: dict[str, Callable[[Relay, socket.socket, bytes], None]] = {
    "twice": twice,
    "stopped": Relay.interrupted,
    "crashed": Relay.interrupted,
}
# QMP commands
INTERRUPTS = {"stopped": "stop", "crashed": "inject-nmi"}
# What makes the guest's kernel end of that, and stay
CRASHES = {"crashed": "unknown_nmi_panic panic=0"}
