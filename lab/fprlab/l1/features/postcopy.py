# SPDX-License-Identifier: GPL-2.0-only
"""Migrations that may go over to postcopy, as features like those of feature.py, each with a look at whether it did."""

import dataclasses

from ...common.errors import LabError
from .feature import Ends, Feature, Postcopy, found_nothing, nothing
from .holding import HELD
from .memory import MEMORY_FEATURES

CAPABILITY = "postcopy-ram"
# How QEMU does not combine it in 10.0.
EXCLUDED = ("multifd", "zero-copy-send", "file", "mapped-ram", "ignore-shared")
# Slow enough, in bytes a second, that a guest works while its memory comes.
POSTCOPY_RATE = 32 << 20
# So slow that there is time to break the connection.
BREAKABLE_RATE = 4 << 20
# In the first round so fast that it ends soon, and so slow that its end can be seen to come.
FIRST_ROUND = {"max-bandwidth": 12 << 20}


def told(ends: Ends) -> str:
    """What came in postcopy; LabError if nothing did."""
    ram = ends.info["ram"]
    counters = ends.info.get("free-page-filter", {})
    if not ram["postcopy-bytes"]:
        raise LabError("the migration has not gone over to postcopy")
    blocked = ends.destination.qmp.execute("query-migrate").get("postcopy-blocktime")
    return (f"{ram['postcopy-bytes'] >> 10} KiB in postcopy, {ram['postcopy-requests']} pages requested, "
            f"{counters.get('requested-pages', 0)} of them dropped ones"
            + (f", all vCPUs waited {blocked} ms" if blocked is not None else ""))


def check_requested(ends: Ends) -> str:
    """A guest that goes on has asked for pages."""
    if not ends.info["ram"]["postcopy-requests"]:
        raise LabError("the guest has asked for no page")
    return told(ends)


def check_precopy(ends: Ends) -> str:
    """It might have gone over to postcopy, and did not."""
    if ends.info["ram"]["postcopy-bytes"]:
        raise LabError("the migration has gone over to postcopy, which nobody asked for")
    return "nobody asked for postcopy"


POSTCOPY_FEATURES = {feature.name: feature for feature in (
    Feature("postcopy-ram", capabilities=(CAPABILITY,), loaded=check_precopy, excludes=EXCLUDED),
    Feature("postcopy-start", capabilities=(CAPABILITY,), parameters=HELD, postcopy=Postcopy("start"), loaded=told, excludes=EXCLUDED),
    Feature("postcopy-report", capabilities=(CAPABILITY,), parameters=HELD, postcopy=Postcopy("report"), loaded=told,
            excludes=EXCLUDED),
    Feature("postcopy-rounds", capabilities=(CAPABILITY,), parameters=FIRST_ROUND, postcopy=Postcopy("rounds"),
            loaded=told, excludes=EXCLUDED),
    Feature("postcopy-runs", capabilities=(CAPABILITY, "postcopy-blocktime"),
            parameters={**HELD, "max-postcopy-bandwidth": POSTCOPY_RATE}, postcopy=Postcopy("report", runs=True),
            loaded=check_requested, excludes=EXCLUDED),
    Feature("postcopy-breaks", capabilities=(CAPABILITY,),
            parameters={**HELD, "max-postcopy-bandwidth": BREAKABLE_RATE}, postcopy=Postcopy("report", breaks=True),
            loaded=told, excludes=EXCLUDED),
    # A second connection for what is asked for, beside any of the others.
    Feature("postcopy-preempt", capabilities=(CAPABILITY, "postcopy-preempt"), excludes=EXCLUDED),
    # Huge pages, without what the test of that feature measures and sets the pace for.
    dataclasses.replace(MEMORY_FEATURES["hugetlb"], name="hugetlb-postcopy", parameters={}, during=nothing,
                        loaded=found_nothing),
    # At a moment that a soak has drawn, if the migration lasts as long.
    Feature("postcopy-any", capabilities=(CAPABILITY,), postcopy=Postcopy("any"), excludes=EXCLUDED),
)}
