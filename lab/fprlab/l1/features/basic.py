# SPDX-License-Identifier: GPL-2.0-only
"""Features that any migration can have, and which of them go together."""

from typing import Sequence

from ...common.errors import LabError
from .feature import Feature

BASIC_FEATURES = {feature.name: feature for feature in (
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
