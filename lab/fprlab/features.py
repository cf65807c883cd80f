# SPDX-License-Identifier: GPL-2.0-only
"""What a migration can be done with besides the filter, by the names of --feature."""

import dataclasses
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence

from . import LabError
from .qmp import Qmp


def no_arguments(_directory: Path, _incoming: bool) -> Sequence[str]:
    """Of most features."""
    return ()


def nothing(_: Any) -> None:
    """A hook that is not used."""


@dataclasses.dataclass(frozen=True)
class Feature:
    """The guest's QEMUs have the first part for as long as the guest lives, each
    migration has the second; both ends agree on all of it."""

    name: str
    backend: str = ""  # the object that is the guest's RAM, without its id and size
    memory: str = ""   # what follows the size in -m
    arguments: Callable[[Path, bool], Sequence[str]] = no_arguments  # (directory, incoming)
    prepare: Callable[[int], None] = nothing  # the host, for a guest of so many MiB

    capabilities: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    file: bool = False  # through a file, which the destination reads when it is complete
    during: Callable[[Qmp], None] = nothing  # with the source's monitor, when it has begun
    excludes: tuple[str, ...] = ()  # names of features that QEMU does not combine with it

    def of_guest(self) -> bool:
        """Whether the guest has it all its life."""
        return bool(self.backend or self.memory) or self.arguments is not no_arguments


FEATURES = {feature.name: feature for feature in (
    Feature("multifd", capabilities=("multifd",), parameters={"multifd-channels": 4}, excludes=("xbzrle",)),
    Feature("xbzrle", capabilities=("xbzrle",), parameters={"xbzrle-cache-size": 64 << 20},
            excludes=("multifd", "mapped-ram")),
    Feature("file", file=True, excludes=("multifd",)),
    Feature("mapped-ram", capabilities=("mapped-ram",), file=True, excludes=("xbzrle",)),
    # Throttles as soon as a fifth of what was sent is dirty again, and then much.
    Feature("auto-converge", capabilities=("auto-converge",),
            parameters={"throttle-trigger-threshold": 20, "cpu-throttle-initial": 40,
                        "cpu-throttle-increment": 20}),
)}

CAPABILITIES = tuple(sorted({name for feature in FEATURES.values() for name in feature.capabilities}))


def combinable(features: Sequence[Feature]) -> bool:
    """Whether QEMU takes them together: multifd takes a file only as mapped-ram."""
    names = {feature.name for feature in features}
    if "mapped-ram" in names:
        names.discard("file")
    return not any(names & set(feature.excludes) for feature in features if feature.name in names)


def check_combination(features: Sequence[Feature]) -> None:
    """Say before the guest starts what QEMU would refuse."""
    if not combinable(features):
        raise LabError(f"features that QEMU does not combine: {', '.join(feature.name for feature in features)}")
