# SPDX-License-Identifier: GPL-2.0-only
"""What a soak chooses, from its seed, and what it counts."""

import dataclasses
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any, Iterator, Optional, Sequence

from ..common.names import WORKLOADS
from ..l1.failures import FAILURES, Failure
from ..l1.features.feature import FEATURES, Feature, combinable, found_nothing, nothing
from ..l1.features.memory import MEMORIES
from ..l1.migration import Run
from ..l1.round_trip import Leg
from .result_table import write_atomically

# Stock hints are left out: they lose writes of a guest that takes hinted pages back.
MODES = {"filter-report": 4, "filter-hint": 3, "plain": 1}
# What a guest's memory is made of. Its test looks at how it is sent, at a pace for looking.
MEMORY = tuple(dataclasses.replace(MEMORIES[name], parameters={}, during=nothing, loaded=found_nothing)
               for name in ("hugetlb", "thp"))
SPECIAL = 0.4  # of all guests have such memory
GUEST_MIB = (256, 384, 512, 768, 1024)
FILLING = ("freed", "frag")  # they fill most of the guest's memory once
FILLING_MIN_MIB = 384        # less has no room for that and the guest's kernel
HOPS = (3, 5, 7)  # odd, so that the last one is without a failure
BANDWIDTHS_MIB = (0, 256, 64, 32)
SLOW_BANDWIDTHS_MIB = (48, 32, 24)  # when something is to fail meanwhile
FAILING = 0.8              # of every second migration
LEG_TIMEOUT = 600          # seconds

Result = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Traveller:
    """The choices of one guest."""

    number: int
    workload: str
    mode: str
    mib: int
    hops: int
    features: tuple[Feature, ...]

    def run(self, bandwidth: int = 0, features: Sequence[Feature] = ()) -> Run:
        """One migration of it, or all of its life."""
        return Run(self.workload, self.mode, 1, bandwidth, LEG_TIMEOUT, False,
                   f"guest {self.number}", features=(*self.features, *features))


def chooser(*names: object) -> random.Random:
    """Choices that depend on nothing but names, so that how one migration ends
    changes nothing for the next."""
    return random.Random(" ".join(str(name) for name in names))


def choose_features(choose: random.Random, file: bool) -> tuple[Feature, ...]:
    """Up to two for one migration that go with each other."""
    known = [feature for feature in FEATURES.values() if not feature.file]
    chosen: list[Feature] = []
    if file:
        chosen.append(choose.choice([feature for feature in FEATURES.values() if feature.file]))
    for feature in choose.sample(known, min(choose.randint(0, 2), len(known))):
        if combinable([*chosen, feature]):
            chosen.append(feature)
    return tuple(chosen)


def choose_guest(seed: int, number: int) -> Traveller:
    """The guest of that number."""
    choose = chooser(seed, number)
    mode = choose.choices(list(MODES), list(MODES.values()))[0]
    workload = choose.choice(WORKLOADS)
    sizes = [mib for mib in GUEST_MIB if workload not in FILLING or mib >= FILLING_MIN_MIB]
    memory = (choose.choice(MEMORY),) if choose.random() < SPECIAL else ()
    return Traveller(number, workload, mode, choose.choice(sizes), choose.choice(HOPS), memory)


def choose_leg(seed: int, guest: Traveller, hop: int) -> Leg:
    """A guest's migration of that number, from 1. Each failure is followed by a
    migration without one."""
    choose = chooser(seed, guest.number, hop)
    failure: Optional[Failure] = None
    if hop % 2 == 0 and choose.random() < FAILING:
        failure = choose.choice(list(FAILURES.values()))
    transport = choose.choice(failure.transports if failure else ("unix", "tcp", "tcp", "file"))
    features = choose_features(choose, transport == "file")
    mib = choose.choice(SLOW_BANDWIDTHS_MIB if failure else BANDWIDTHS_MIB)
    return Leg(guest.run(mib << 20, features), transport, failure, choose.random(), choose.uniform(0.2, 3))


def choices(guest: Traveller, hop: int, leg: Leg) -> Result:
    """All that was chosen, for a person who wants to know."""
    return {
        "guest": guest.number, "hop": hop, "workload": guest.workload, "mode": guest.mode,
        "guest_mib": guest.mib, "transport": leg.transport,
        "features": [feature.name for feature in leg.run.features], "bandwidth_mib": leg.run.bandwidth >> 20,
        "failure": leg.failure.name if leg.failure else "",
        "moment": round(leg.moment, 3), "length": round(leg.length, 3),
    }


def ways(result: Result) -> Iterator[tuple[str, str]]:
    """The rows of the table in which a migration counts."""
    for kind in ("mode", "workload", "transport", "failure"):
        if result[kind]:
            yield kind, result[kind]
    for feature in result["features"]:
        yield "feature", feature


class Tally:
    """The counts of a soak, and of each way in which it migrated."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._total: Counter[str] = Counter()
        self._rows: dict[tuple[str, str], Counter[str]] = {}
        self.first_failure = ""

    def add(self, result: Result) -> None:
        """One migration more."""
        counts: Counter[str] = Counter({
            "migrations": 1, "completed": int(result.get("status") == "completed"),
            "failures_injected": int(result.get("injected", False)), "wrong": int(not result["verified"]),
            "pages_verified": result.get("verified_pages", 0), "pages_compared": result.get("compared_pages", 0),
            "pages_dropped": result.get("dropped_pages", 0), "reports": result.get("reports", 0),
            "pages_lost": result.get("lost_pages", 0), "pokes": result.get("pokes", 0)})
        self._total.update(counts)
        for way in ways(result):
            self._rows.setdefault(way, Counter()).update(counts)

    def good(self) -> bool:
        """Whether something was done and nothing was wrong."""
        return bool(self._total["migrations"]) and not self._total["wrong"] and not self.first_failure

    def as_json(self, seconds: float) -> Result:
        """The object of out/soak.json."""
        names = ("migrations", "completed", "failures_injected", "wrong", "pages_verified", "pages_compared",
                 "pages_dropped", "pages_lost", "reports", "pokes")
        return {"seed": self._seed, **{name: self._total[name] for name in names}, "seconds": round(seconds),
                "first_failure": self.first_failure,
                "by": [{kind: name, **counts} for (kind, name), counts in sorted(self._rows.items())]}

    def write(self, path: Path, seconds: float) -> None:
        """So that an interrupted soak leaves what it has done."""
        write_atomically(path, json.dumps(self.as_json(seconds), indent=1) + "\n")

    def table(self) -> str:
        """A line for each way, and one for all."""
        columns = ("migrations", "completed", "failures_injected", "reports", "pages_dropped", "pages_verified",
                   "pages_lost", "wrong")
        lines = [("", *(column.replace("_", " ") for column in columns))]
        for (kind, name), counts in [*sorted(self._rows.items()), (("all", ""), self._total)]:
            lines.append((f"{kind} {name}".strip(), *(str(counts[column]) for column in columns)))
        widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
        return "\n".join("  ".join(cell.rjust(width) if column else cell.ljust(width)
                                   for column, (cell, width) in enumerate(zip(line, widths))) for line in lines)


def describe(result: Result) -> str:
    """A line of progress."""
    how = [result["mode"], result["workload"], f"{result['guest_mib']} MiB", result["transport"], *result["features"]]
    if result["bandwidth_mib"]:
        how.append(f"{result['bandwidth_mib']} MiB/s")
    failure = f", {result['failure']}" if result["failure"] else ""
    if failure and result["verified"] and not result["injected"]:
        failure += " (too late)"
    if not result["verified"]:
        end = f"WRONG: {result['error']}"
    else:
        end = (f"{result['status']}, {result['dropped_pages']} pages dropped, {result['verified_pages']} verified, "
               f"{result['compared_pages']} compared")
        if result.get("pokes"):
            end += f", the guest was poked {result['pokes']} times"
    return f"{result['seconds']:5.0f} s: guest {result['guest']}.{result['hop']}: {' '.join(how)}{failure}: {end}"
