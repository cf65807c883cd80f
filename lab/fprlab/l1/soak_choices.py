# SPDX-License-Identifier: GPL-2.0-only
"""What a soak chooses, from its seed."""

import dataclasses
import random
from typing import Any, Optional, Sequence

from ..common.names import LARGE_GUEST_MIB, SOAK_GUEST_MIB, SOAK_TIMEOUT, WORKLOADS
from .failures import FAILURES, Failure
from .features.basic import BASIC_FEATURES, combinable
from .features.feature import Feature, found_nothing, nothing
from .features.machine import MACHINE_FEATURES
from .features.memory import MEMORY_FEATURES
from .features.postcopy import POSTCOPY_FEATURES
from .migration_run import Run
from .round_trip import Leg

# Stock hints are left out: they lose writes of a guest that takes hinted pages back.
MODES = {"filter-report": 4, "filter-hint": 3, "plain": 1}
# What a guest is made of, without what the test of that feature measures and sets the pace for.
SHAPES = tuple(dataclasses.replace(feature, parameters={}, during=nothing, loaded=found_nothing)
               for feature in (MEMORY_FEATURES["hugetlb"], MEMORY_FEATURES["thp"], *MACHINE_FEATURES.values()))
SPECIAL = 0.4  # the part of all guests that are made of such
FILLING = ("freed", "frag")  # they fill most of the guest's memory once
FILLING_MIN_MIB = 384        # less has no room for that and the guest's kernel
HOPS = (3, 5, 7)  # migrations of a guest: odd, so that the last one is without a failure
BANDWIDTHS_MIB = (0, 256, 64, 32)
SLOW_BANDWIDTHS_MIB = (48, 32, 24)  # for a migration that is to fail
LARGE = 0.05  # the part of all guests that are so, where the host has room for them
TRANSPORTS = ("unix", "tcp", "tcp", "file")
POSTCOPY = 0.85            # the part of the migrations that can in which postcopy is allowed
FAILING = 0.8              # the part of every second migration that is to fail

Result = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class SoakGuest:
    """The choices of one guest."""

    number: int
    workload: str
    mode: str
    mib: int
    hops: int
    features: tuple[Feature, ...]

    def run(self, bandwidth: int = 0, features: Sequence[Feature] = ()) -> Run:
        """The run of one migration of the guest, or of all its life."""
        return Run(self.workload, self.mode, 1, bandwidth, SOAK_TIMEOUT, False,
                   f"guest {self.number}", features=(*self.features, *features))


def chooser(*names: object) -> random.Random:
    """Choices that depend on nothing but names, so that how one migration ends
    changes nothing for the next."""
    return random.Random(" ".join(str(name) for name in names))


def choose_features(choose: random.Random, file: bool) -> tuple[Feature, ...]:
    """Up to two for one migration that go with each other."""
    known = [feature for feature in BASIC_FEATURES.values() if not feature.file]
    chosen: list[Feature] = []
    if file:
        chosen.append(choose.choice([feature for feature in BASIC_FEATURES.values() if feature.file]))
    for feature in choose.sample(known, min(choose.randint(0, 2), len(known))):
        if combinable([*chosen, feature]):
            chosen.append(feature)
    return tuple(chosen)


def choose_postcopy(choose: random.Random, others: tuple[Feature, ...], fails: bool) -> tuple[Feature, ...]:
    """Some migrations go over to postcopy. One that is to fail might, and does not: from there no guest comes back."""
    feature = POSTCOPY_FEATURES["postcopy-ram" if fails else "postcopy-any"]
    if choose.random() < POSTCOPY and combinable([*others, feature]):
        return (*others, dataclasses.replace(feature, loaded=found_nothing))
    return others


def choose_guest(seed: int, number: int, large: bool = False) -> SoakGuest:
    """The guest of that number. Where there may be large ones all others are the same as without them."""
    choose = chooser(seed, number)
    mode = choose.choices(list(MODES), list(MODES.values()))[0]
    workload = choose.choice(WORKLOADS)
    sizes = [mib for mib in SOAK_GUEST_MIB if workload not in FILLING or mib >= FILLING_MIN_MIB]
    shape = (choose.choice(SHAPES),) if choose.random() < SPECIAL else ()
    guest = SoakGuest(number, workload, mode, choose.choice(sizes), choose.choice(HOPS), shape)
    if large and choose.random() < LARGE:
        # A host with room for two of them has none for huge pages that are set aside, nor for DIMMs.
        shape = tuple(feature for feature in shape if feature.name in MACHINE_FEATURES)
        return dataclasses.replace(guest, mib=LARGE_GUEST_MIB, hops=min(HOPS), features=shape)
    return guest


def transports_for(guest: SoakGuest, transports: Sequence[str]) -> list[str]:
    """Those of them that can take the guest: the file of a large one would be a third of these in the host's memory."""
    return [transport for transport in transports if transport != "file" or guest.mib < LARGE_GUEST_MIB]


def choose_leg(seed: int, guest: SoakGuest, hop: int) -> Leg:
    """A guest's migration of that number, from 1. Each failure is followed by a
    migration without one."""
    choose = chooser(seed, guest.number, hop)
    failure: Optional[Failure] = None
    if hop % 2 == 0 and choose.random() < FAILING:
        failure = choose.choice([failure for failure in FAILURES.values() if transports_for(guest, failure.transports)])
    transport = choose.choice(transports_for(guest, failure.transports if failure else TRANSPORTS))
    features = choose_features(choose, transport == "file")
    if transport != "file":
        features = choose_postcopy(choose, features, bool(failure))
    mib = choose.choice(SLOW_BANDWIDTHS_MIB if failure else BANDWIDTHS_MIB)
    return Leg(guest.run(mib << 20, features), transport, failure, choose.random(), choose.uniform(0.2, 3))


def choices(guest: SoakGuest, hop: int, leg: Leg) -> Result:
    """All that was chosen, for a person who wants to know."""
    return {
        "guest": guest.number, "hop": hop, "workload": guest.workload, "mode": guest.mode,
        "guest_mib": guest.mib, "transport": leg.transport,
        "features": [feature.name for feature in leg.run.features], "bandwidth_mib": leg.run.bandwidth >> 20,
        "failure": leg.failure.name if leg.failure else "",
        "moment": round(leg.moment, 3), "length": round(leg.length, 3),
    }
