# SPDX-License-Identifier: GPL-2.0-only
"""Which migrations to run, as the environment of "make demo" chooses."""

import dataclasses
from typing import Mapping

from ..common.errors import LabError
from ..common.names import DEMO_MODES, MODES, PROGRAM_WORKLOADS, WORKLOADS

GUEST_MIB_RANGE = (256, 65536)
REPEAT_RANGE = (1, 100)
ALL = "all"


@dataclasses.dataclass(frozen=True)
class MigrationPlan:
    """Every workload in every mode, that many times."""

    workloads: tuple[str, ...] = WORKLOADS
    modes: tuple[str, ...] = DEMO_MODES
    repeat: int = 1
    guest_mib: int = 1024

    def has_programs(self) -> bool:
        """Whether a guest needs more than its PID 1."""
        return any(workload in PROGRAM_WORKLOADS for workload in self.workloads)

    def runs(self) -> int:
        """How many migrations that makes."""
        return len(self.workloads) * len(self.modes) * self.repeat


def chosen_names(variable: str, text: str, known: tuple[str, ...],
                 default: tuple[str, ...] = ()) -> tuple[str, ...]:
    """A list of names, separated by commas or spaces, in the order of the known ones. "all" is
    all of them, and so is nothing unless there is a default."""
    names = text.replace(",", " ").split()
    for name in names:
        if name not in (*known, ALL):
            raise LabError(f"{variable}: {name!r} is unknown; choose from {','.join(known)}, or {ALL}")
    if ALL in names:
        return known
    return tuple(name for name in known if name in names) or default or known


def chosen_number(variable: str, text: str, default: int, limits: tuple[int, int]) -> int:
    """A number within limits; an empty text is the default."""
    if not text:
        return default
    if not (text.isascii() and text.isdecimal() and limits[0] <= int(text) <= limits[1]):
        raise LabError(f"{variable}: {text!r} is not a number from {limits[0]} to {limits[1]}")
    return int(text)


def parse_plan(environment: Mapping[str, str]) -> MigrationPlan:
    """The plan of WORKLOADS, MODES, REPEAT and GUEST_MIB; what is empty or not
    there has its default."""
    get = {name: environment.get(name, "").strip()
           for name in ("WORKLOADS", "MODES", "REPEAT", "GUEST_MIB")}
    return MigrationPlan(
        chosen_names("WORKLOADS", get["WORKLOADS"], WORKLOADS + PROGRAM_WORKLOADS, WORKLOADS),
        chosen_names("MODES", get["MODES"], MODES, DEMO_MODES),
        chosen_number("REPEAT", get["REPEAT"], MigrationPlan.repeat, REPEAT_RANGE),
        chosen_number("GUEST_MIB", get["GUEST_MIB"], MigrationPlan.guest_mib, GUEST_MIB_RANGE))
