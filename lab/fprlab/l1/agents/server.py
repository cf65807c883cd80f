# SPDX-License-Identifier: GPL-2.0-only
"""A socket at which something answers in the place of the guest's agent."""

import socket
import threading
from pathlib import Path
from typing import Callable


class AgentServer:
    """Serves one connection after the other, from a thread of its own; each until the function returns."""

    def __init__(self, path: Path, converse: Callable[[socket.socket], None]) -> None:
        self.path = path
        self._converse = converse
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        path.chmod(0o666)
        self._server.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return  # closed
            with connection:
                self._converse(connection)

    def end(self) -> None:
        """Stop answering."""
        self._server.close()


def receive(connection: socket.socket, size: int) -> bytes:
    """So many bytes, or EOFError."""
    data = connection.recv(size, socket.MSG_WAITALL) if size else b""
    if len(data) < size:
        raise EOFError
    return data
