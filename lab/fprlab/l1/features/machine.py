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
    """Every node has memory of its own, and pages were dropped in each if there is a filter."""
    names = sorted(device["id"] for device in ends.source.qmp.execute("query-memdev"))
    drops = ends.source.directory / "trace"
    if len(names) != 2:
        raise LabError(f"the guest's memory is {', '.join(names)} and not of two nodes")
    if not drops.exists():
        return "two nodes"
    found = []
    for name in names:
        with drops.open(encoding="utf-8", errors="replace") as trace:
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
