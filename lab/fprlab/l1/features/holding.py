# SPDX-License-Identifier: GPL-2.0-only
"""Keeping a migration from its end while something is waited for, however long that takes the guest."""

from typing import Callable

from ...common.errors import LabError
from ..qmp import Qmp
from ..waiting import wait_until

# Bytes a second. At this rate it would be hours before few enough pages are left for the last round.
HELD = {"max-bandwidth": 64 << 10}
LET_GO = 1 << 40


def wait_held(qmp: Qmp, what: str, true: Callable[[], object]) -> None:
    """Wait until a condition holds in a migration that HELD keeps; LabError if it has ended all the same."""
    def holds() -> object:
        status = qmp.execute("query-migrate")["status"]
        if status not in ("setup", "active"):
            raise LabError(f"the migration was {status} before {what}")
        return true()
    wait_until(what, holds)


def let_go(qmp: Qmp) -> None:
    """The migration goes on as fast as it can."""
    qmp.execute("migrate-set-parameters", max_bandwidth=LET_GO)
