# SPDX-License-Identifier: GPL-2.0-only
"""What snapshots need: built on this machine, used in the lab's host."""

import dataclasses
from pathlib import Path

SNAPSHOT_TIMEOUT = 600  # seconds that a chain of snapshots may make no progress


@dataclasses.dataclass(frozen=True)
class Tools:
    """Directories with what has to be built first."""

    examples: Path
    fprctl: Path
    guest: Path
