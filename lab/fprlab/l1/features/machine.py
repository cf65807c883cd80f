# SPDX-License-Identifier: GPL-2.0-only
"""How many CPUs and nodes a guest has, as features like those of feature.py, each with a look at whether it did."""

from typing import Callable

from ...common.errors import LabError
from ..drop_trace import dropped_pages
from .feature import Ends, Feature


def check_cpus(count: int) -> Callable[[Ends], str]:
    """The guest came with that many."""
    def look(ends: Ends) -> str:
        cpus = len(ends.destination.qmp.execute("query-cpus-fast"))
        if cpus != count:
            raise LabError(f"the guest has {cpus} virtual CPUs and not {count}")
        return f"{cpus} virtual CPUs"
    return look


def check_nodes(ends: Ends) -> str:
    """Pages were dropped on every node."""
    found = []
    for name in sorted(device["id"] for device in ends.source.qmp.execute("query-memdev")):
        with (ends.source.directory / "trace").open(encoding="utf-8", errors="replace") as trace:
            pages = len(dropped_pages(trace, name))
        if not pages:
            raise LabError(f"no page of {name} was ever confirmed")
        found.append(f"{pages} pages confirmed in {name}")
    return ", ".join(found)


MACHINE_FEATURES = {feature.name: feature for feature in (
    Feature("two-cpus", cpus=2, loaded=check_cpus(2)),
    Feature("four-cpus", cpus=4, loaded=check_cpus(4)),
    Feature("two-nodes", nodes=2, loaded=check_nodes),
)}
