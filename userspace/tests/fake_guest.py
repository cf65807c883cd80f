# SPDX-License-Identifier: GPL-2.0-only
"""A guest at a unix socket that answers requests for reports as a test wants it to."""

import contextlib
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ContextManager, TypeVar

from fprlab.common import wire

# Gets the connection and the request's tag. It may close the connection, else that is
# left to fprctl.
Answer = Callable[[socket.socket, int], None]


class FakeGuest:
    """Serves one connection after the other."""

    def __init__(self, path: Path, answers: tuple[Answer, ...]) -> None:
        self.path = path
        self.endpoint = f"unix:{path}"
        self.tags: list[int] = []
        self.errors: list[Exception] = []
        self._answers = answers
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()  # also for those that have gone before it looks
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with connection:
                    self._converse(connection)

    def _converse(self, connection: socket.socket) -> None:
        data = connection.recv(1000)
        if not data:
            return
        try:
            self.tags.append(wire.decode_request(data))
        except wire.WireError as error:
            self.errors.append(error)
            return
        answer = self._answers[min(len(self.tags), len(self._answers)) - 1]
        # fprctl may have had enough before all was sent.
        with contextlib.suppress(OSError):
            answer(connection, self.tags[-1])
            while connection.recv(1000):
                pass

    def close(self) -> None:
        """Listen no longer."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


Guest = TypeVar("Guest", bound=FakeGuest)


@contextlib.contextmanager
def _served(make: Callable[[Path], Guest]) -> Iterator[Guest]:
    with tempfile.TemporaryDirectory() as name:
        guest = make(Path(name) / "socket")
        try:
            yield guest
            if guest.errors:
                raise guest.errors[0]
        finally:
            guest.close()


def fake_guest(*answers: Answer) -> ContextManager[FakeGuest]:
    """A guest that gives these answers, one for each request, and the last one again and again."""
    return _served(lambda path: FakeGuest(path, answers))


class FakeVsock(FakeGuest):
    """The same behind a VMM that gives the guest's vsock as a unix socket, and answers to CONNECT."""

    def __init__(self, path: Path, greet: Callable[[socket.socket], None], answers: tuple[Answer, ...]) -> None:
        self.lines: list[bytes] = []
        self._greet = greet
        super().__init__(path, answers)
        self.endpoint = f"vsock-unix:{path}:999"

    def _converse(self, connection: socket.socket) -> None:
        line = b""
        while not line.endswith(b"\n"):
            data = connection.recv(1)
            if not data:
                return
            line += data
        self.lines.append(line)
        with contextlib.suppress(OSError):
            self._greet(connection)
            super()._converse(connection)


def fake_vsock(greet: Callable[[socket.socket], None], *answers: Answer) -> ContextManager[FakeVsock]:
    """A guest behind such a VMM."""
    return _served(lambda path: FakeVsock(path, greet, answers))
