# SPDX-License-Identifier: GPL-2.0-only
"""Migrations that may go over to postcopy, as features like those of feature.py, each with a look at whether it did."""

import dataclasses

from ...common.errors import LabError
from .feature import Ends, Feature, Postcopy, Side, found_nothing, nothing
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
# More than its channels need themselves.
MULTIFD_BYTES = 16 << 20


def waits(destination: Side) -> str:
    """How long the guest waited for pages, as far as this QEMU has counted it."""
    info = destination.qmp.execute("query-migrate")
    text = ""
    if (blocked := info.get("postcopy-blocktime")) is not None:
        text += f", all vCPUs waited {blocked} ms"
    if distribution := info.get("postcopy-latency-dist"):
        # QEMU's buckets: the first is from 1 microsecond on, each other one from twice as many.
        text += ", faults by microseconds from " + " ".join(
            f"{1 << bucket}:{count}" for bucket, count in enumerate(distribution) if count)
    return text


def told(ends: Ends) -> str:
    """What came in postcopy; LabError if nothing did."""
    ram = ends.info["ram"]
    counters = ends.info.get("free-page-filter", {})
    if not ram["postcopy-bytes"]:
        raise LabError("the migration has not gone over to postcopy")
    return (f"{ram['postcopy-bytes'] >> 10} KiB in postcopy, {ram['postcopy-requests']} pages requested, "
            f"{counters.get('requested-pages', 0)} of them dropped ones{waits(ends.destination)}")


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


def check_multifd(ends: Ends) -> str:
    """Pages came by multifd before the switch."""
    if ends.info["ram"]["multifd-bytes"] < MULTIFD_BYTES:
        raise LabError(f"{ends.info['ram']['multifd-bytes']} bytes were sent by multifd")
    return f"{ends.info['ram']['multifd-bytes'] >> 10} KiB by multifd, {told(ends)}"


POSTCOPY_FEATURES = {feature.name: feature for feature in (
    Feature("postcopy-ram", capabilities=(CAPABILITY,), loaded=check_precopy, excludes=EXCLUDED),
    Feature("postcopy-start", capabilities=(CAPABILITY,), parameters=HELD, postcopy=Postcopy("start"), loaded=told,
            excludes=EXCLUDED),
    Feature("postcopy-report", capabilities=(CAPABILITY,), parameters=HELD, postcopy=Postcopy("report"), loaded=told,
            excludes=EXCLUDED),
    Feature("postcopy-rounds", capabilities=(CAPABILITY,), parameters=FIRST_ROUND, postcopy=Postcopy("rounds"),
            loaded=told, excludes=EXCLUDED),
    Feature("postcopy-runs", capabilities=(CAPABILITY, "postcopy-blocktime"),
            parameters={**HELD, "max-postcopy-bandwidth": POSTCOPY_RATE}, postcopy=Postcopy("report", runs=True),
            loaded=check_requested, excludes=EXCLUDED),
    Feature("postcopy-breaks", capabilities=(CAPABILITY,),
            parameters={**HELD, "max-postcopy-bandwidth": BREAKABLE_RATE},
            postcopy=Postcopy("report", touches=True, breaks=True), loaded=told, excludes=EXCLUDED),
    Feature("postcopy-cut", capabilities=(CAPABILITY,), network=True,
            parameters={**HELD, "max-postcopy-bandwidth": BREAKABLE_RATE},
            postcopy=Postcopy("report", touches=True, cut=True), loaded=told, excludes=EXCLUDED),
    Feature("postcopy-killed", capabilities=(CAPABILITY,),
            parameters={**HELD, "max-postcopy-bandwidth": BREAKABLE_RATE}, postcopy=Postcopy("report", loses=True),
            excludes=EXCLUDED),
    # QEMU combines these from 10.1 on.
    Feature("postcopy-multifd", capabilities=(CAPABILITY, "multifd"),
            parameters={**FIRST_ROUND, "multifd-channels": 2}, postcopy=Postcopy("rounds"), loaded=check_multifd,
            excludes=("xbzrle", *EXCLUDED)),
    # A second connection for what is asked for, beside any of the others.
    Feature("postcopy-preempt", capabilities=(CAPABILITY, "postcopy-preempt"), excludes=EXCLUDED),
    # Huge pages, without what the test of that feature measures and sets the pace for.
    dataclasses.replace(MEMORY_FEATURES["hugetlb"], name="hugetlb-postcopy", parameters={}, during=nothing,
                        loaded=found_nothing),
    # At a moment that a soak has drawn, if the migration lasts as long.
    Feature("postcopy-any", capabilities=(CAPABILITY,), postcopy=Postcopy("any"), excludes=EXCLUDED),
)}
