# SPDX-License-Identifier: GPL-2.0-only
"""Waiting for a guest or a QEMU to have done something."""

import socket
import time
from typing import Callable, Union

from ..common.errors import LabError

LIMIT = 180.0  # seconds
LISTEN_LIMIT = 30.0  # seconds from a socket's name to somebody who listens there


def wait_until(what: str, true: Callable[[], object]) -> None:
    """Wait until a condition holds; LabError names it if it never does."""
    end = time.monotonic() + LIMIT
    while not true():
        if time.monotonic() > end:
            raise LabError(f"gave up after {LIMIT:.0f} s of waiting until {what}")
        time.sleep(0.05)


def connect(address: Union[str, tuple[str, int]]) -> socket.socket:
    """A connection to a path, or to a host and a TCP port. A path is there before somebody listens at it, and what
    comes in between is refused."""
    end = time.monotonic() + LISTEN_LIMIT
    while True:
        connection = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        try:
            connection.connect(address)
            return connection
        except ConnectionRefusedError:
            connection.close()
            if time.monotonic() > end:
                raise
            time.sleep(0.02)
        except BaseException:
            connection.close()
            raise
