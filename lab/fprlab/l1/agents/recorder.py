# SPDX-License-Identifier: GPL-2.0-only
"""Between fprctl filter and the guest: keeps what the guest reported."""

import socket
from pathlib import Path

from ...common import wire
from .relay import receive_report
from .server import AgentServer, receive


class Recorder(AgentServer):
    """A server at a socket, which fprctl asks, and a client of the guest's port."""

    def __init__(self, path: Path, port: Path) -> None:
        self._port = port
        self._free = 0
        self.last = 0  # bit n: the last report named page n
        super().__init__(path, self._pass_on)

    def _pass_on(self, connection: socket.socket) -> None:
        with socket.socket(socket.AF_UNIX) as guest:
            try:
                guest.connect(str(self._port))
                guest.sendall(receive(connection, wire.REQUEST_LEN))
                report = receive_report(guest)
                # Kept first: fprctl must not drop a page of which we know nothing.
                self.last = wire.decode(report).free
                self._free |= self.last
                connection.sendall(report)
            except (OSError, EOFError, wire.WireError):
                pass  # fprctl says what it thinks of that

    def free(self, page: int) -> bool:
        """Whether any report named that page."""
        return bool(self._free >> page & 1)

    def count(self) -> int:
        """How many pages any report named."""
        return self._free.bit_count()
