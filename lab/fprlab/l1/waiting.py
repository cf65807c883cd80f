# SPDX-License-Identifier: GPL-2.0-only
"""Waiting for a guest or a QEMU to have done something."""

import time
from typing import Callable

from ..common.errors import LabError

LIMIT = 180.0  # seconds


def wait_until(what: str, true: Callable[[], object]) -> None:
    """Wait until a condition holds; LabError names it if it never does."""
    end = time.monotonic() + LIMIT
    while not true():
        if time.monotonic() > end:
            raise LabError(f"gave up after {LIMIT:.0f} s of waiting until {what}")
        time.sleep(0.05)
