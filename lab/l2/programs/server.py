# SPDX-License-Identifier: GPL-2.0-only
"""A key-value server (redis) whose values are replaced all the time, and that saves in the background by fork."""

import random
import socket
import subprocess
import time

import program

SOCKET = "/tmp/redis"
KEYS = 4000  # of a guest of 1 GiB
VALUE_SIZE = 16000
BATCH = 20  # commands sent at a time
# A new child whenever so many seconds have passed with a change.
SAVE = "3 1"


class Server:
    """The server, and what it must hold."""

    def __init__(self) -> None:
        subprocess.Popen(["/usr/bin/redis-server", "--port", "0", "--unixsocket", SOCKET, "--dir", "/tmp", "--save", SAVE,
                          "--rdbcompression", "no", "--loglevel", "warning", "--logfile", "/dev/null"],
                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self._file = self._connect()
        self._versions = [0] * program.scaled(KEYS)
        self._set(range(len(self._versions)))

    @staticmethod
    def _connect() -> "socket.SocketIO":
        connection = socket.socket(socket.AF_UNIX)
        while True:
            try:
                connection.connect(SOCKET)
                return connection.makefile("rwb")
            except OSError:
                time.sleep(0.1)

    def _value(self, key: int) -> bytes:
        return program.content(f"{key} {self._versions[key]}", VALUE_SIZE)

    def _send(self, *words: bytes) -> None:
        self._file.write(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words))

    def _line(self) -> bytes:
        line = self._file.readline()
        if line[:1] in (b"", b"-"):
            raise SystemExit(f"the server says {line!r}")
        return line.rstrip()

    def _set(self, keys: "range | list[int]") -> None:
        for start in range(0, len(keys), BATCH):
            some = keys[start:start + BATCH]
            for key in some:
                self._send(b"SET", b"%d" % key, self._value(key))
            self._file.flush()
            for _ in some:
                self._line()

    def work(self) -> int:
        """Replace some values, chosen at random."""
        keys = random.sample(range(len(self._versions)), BATCH)
        for key in keys:
            self._versions[key] += 1
        self._set(keys)
        return BATCH

    def _get(self, key: int) -> bytes:
        size = int(self._line()[1:])
        value = self._file.read(size + 2)[:-2] if size >= 0 else b""
        return b"" if value != self._value(key) else value

    def check(self) -> program.Check:
        """Read every value."""
        wrong = 0
        for start in range(0, len(self._versions), BATCH):
            some = range(start, min(start + BATCH, len(self._versions)))
            for key in some:
                self._send(b"GET", b"%d" % key)
            self._file.flush()
            wrong += sum(not self._get(key) for key in some)
        return len(self._versions) * VALUE_SIZE, wrong * VALUE_SIZE


server = Server()
program.run(server.work, server.check)
