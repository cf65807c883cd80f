# SPDX-License-Identifier: GPL-2.0-only
"""Between QEMU and the guest's own agent: what a guest does in the middle of a report.

The reports are the guest's own. Documentation/protocol.rst has the format.
"""

import fcntl
import socket
import sys
import termios
import threading
from pathlib import Path
from typing import Callable, Optional

from ...common import wire
from .server import receive

INTERRUPT_TIMEOUT = 180.0  # seconds


def receive_report(guest: socket.socket) -> bytes:
    """One whole report of the guest."""
    return wire.read_response(lambda size: receive(guest, size))


class Relay:
    """A server at a socket, which QEMU asks, and a client of the guest's port."""

    def __init__(self, path: Path, behaviour: str, port: Path) -> None:
        self._forward = RELAYS[behaviour]
        self.interrupt = INTERRUPTS.get(behaviour)  # QMP command for the middle of the first report
        self.in_the_middle = threading.Event()
        self.go_on = threading.Event()
        self.requests = 0  # those that went on to the guest
        self.in_epochs = 0  # those of them with an epoch, whose answers can be used
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
                    request = receive(connection, wire.REQUEST_LEN)
                    self._guest.sendall(request)
                    self.requests += 1
                    if wire.decode_request(request) == wire.NO_EPOCH:
                        connection.sendall(receive_report(self._guest))
                        continue
                    self.in_epochs += 1
                    self._forward(self, connection, receive_report(self._guest))
            except (OSError, EOFError):
                pass  # QEMU has ended, or we have closed the connections

    def asked(self) -> int:
        """How often QEMU has asked, also while a guest that has crashed does not answer."""
        if not self._connection or self._connection.fileno() < 0:
            return self.requests
        unread = fcntl.ioctl(self._connection, termios.FIONREAD, bytes(4))
        return self.requests + int.from_bytes(unread, sys.byteorder) // wire.REQUEST_LEN

    def interrupted(self, connection: socket.socket, report: bytes) -> None:
        """Pass on a report; in the middle of the first one something happens to the guest."""
        half = len(report) // 2
        connection.sendall(report[:half])
        if self.in_epochs == 1:
            self.in_the_middle.set()
            self.go_on.wait(INTERRUPT_TIMEOUT)
        connection.sendall(report[half:])

    def end(self) -> None:
        """Stop answering."""
        self.go_on.set()
        self._server.close()
        self._guest.close()


def twice(_relay: Relay, connection: socket.socket, report: bytes) -> None:
    """Pass on a report twice; QEMU waits only for the first."""
    connection.sendall(report + report)


RELAYS: dict[str, Callable[[Relay, socket.socket, bytes], None]] = {
    "twice": twice,
    "stopped": Relay.interrupted,
    "crashed": Relay.interrupted,
}
# QMP commands
INTERRUPTS = {"stopped": "stop", "crashed": "inject-nmi"}
# With these words an NMI makes the guest's kernel panic, and not reboot
CRASHES = {"crashed": "unknown_nmi_panic panic=0"}
