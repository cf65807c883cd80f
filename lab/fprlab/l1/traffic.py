# SPDX-License-Identifier: GPL-2.0-only
"""What the host sends into a guest while it migrates."""

import contextlib
import fcntl
import socket
import struct
import threading
import time
from typing import Callable, Iterator, Sequence

# As lab/l2/guest_net.c has them.
PROTOCOL = 0x88b5
FRAME_WORDS = 180
WORD_FACTOR = 0x9e3779b97f4a7c15
MASK = (1 << 64) - 1
# All words of a frame at once, as one number.
PATTERN = sum((i * WORD_FACTOR & MASK) << 64 * i for i in range(FRAME_WORDS))
ONES = sum(1 << 64 * i for i in range(FRAME_WORDS))

SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
BURST = 8
SECONDS_BETWEEN_BURSTS = 0.02


@contextlib.contextmanager
def repeated(step: Callable[[], None]) -> Iterator[None]:
    """Do something again and again until the end of the block."""
    ending = threading.Event()

    def run() -> None:
        while not ending.is_set():
            with contextlib.suppress(OSError):  # its QEMU has not begun, or has ended
                step()
            time.sleep(SECONDS_BETWEEN_BURSTS)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()


def frame(mac: bytes, number: int) -> bytes:
    """An Ethernet frame; the words behind the first follow from it."""
    header = mac + mac[:5] + b"\xff" + PROTOCOL.to_bytes(2, "big")
    return header + (PATTERN ^ ONES * number).to_bytes(8 * FRAME_WORDS, "little")


class Interface:
    """A tap, which is there while its QEMU runs."""

    def __init__(self, name: str, mac: bytes, first: int) -> None:
        self._name = name
        self._mac = mac
        self._number = first
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self._socket.setblocking(False)

    def _bring_up(self) -> None:
        request = struct.pack("16sH14x", self._name.encode(), 0)
        flags = struct.unpack("16sH14x", fcntl.ioctl(self._socket, SIOCGIFFLAGS, request))[1]
        if not flags & IFF_UP:
            fcntl.ioctl(self._socket, SIOCSIFFLAGS, struct.pack("16sH14x", self._name.encode(), flags | IFF_UP))

    def burst(self) -> None:
        """Send some frames, with numbers that only go up."""
        self._bring_up()
        for _ in range(BURST):
            self._number += 1
            self._socket.sendto(frame(self._mac, self._number), (self._name, PROTOCOL))

    def close(self) -> None:
        """Send no more."""
        self._socket.close()


@contextlib.contextmanager
def frames(names: Sequence[str], mac: bytes) -> Iterator[None]:
    """Send frames to interfaces, the numbers of each above those of all before it."""
    with contextlib.ExitStack() as stack:
        for i, name in enumerate(names):
            interface = Interface(name, mac, (i + 1) << 32)
            stack.callback(interface.close)
            stack.enter_context(repeated(interface.burst))
        yield
