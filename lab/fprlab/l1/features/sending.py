# SPDX-License-Identifier: GPL-2.0-only
"""How pages may be sent, as features like those of feature.py that not every migration
can have."""

from typing import Any

from ...common.errors import LabError
from ..qmp import Qmp
from ..waiting import wait_until
from .feature import Ends, Feature, Side
from .holding import HELD, let_go, wait_held

PATIENCE_MS = 10000  # the most that QEMU takes
OBJECT = "/objects/report0"


def reports(qmp: Qmp) -> bool:
    """Whether this QEMU asks its guest for reports."""
    return any(item["name"] == "report0" for item in qmp.execute("qom-list", path="/objects"))


def wait_for_report(source: Side) -> None:
    """No page is sent before the first report, however long that takes."""
    if reports(source.qmp):
        wait_until("the guest's agent is there",
                   lambda: source.qmp.execute("qom-get", path=OBJECT, property="agent-present"))
        source.qmp.execute("qom-set", path=OBJECT, property="wait-first-report", value=PATIENCE_MS)


def check_reports_came(ends: Ends) -> str:
    """The agent answers though the balloon takes the guest's free memory meanwhile."""
    counters = ends.info["free-page-filter"]
    if not counters["reports"]:
        raise LabError(f"no report came beside stock hints: {dict(counters)}")
    return f"{counters['reports']} reports, the first after {counters['first-report-ms']} ms"


def measure_dirty_rate(qmp: Qmp) -> None:
    """Let QEMU begin to read, and clear, the dirty log for a second purpose."""
    qmp.execute("calc-dirty-rate", calc_time=1, mode="dirty-bitmap")


def dirty_rate(qmp: Qmp) -> dict[str, Any]:
    """What QEMU says of the measurement."""
    return qmp.execute("query-dirty-rate")


def measure_again(qmp: Qmp) -> None:
    """The measurement that had begun before the migration ends in it, and so does a whole one."""
    for end in ("first", "second"):
        wait_held(qmp, f"the {end} dirty rate is measured", lambda: dirty_rate(qmp)["status"] == "measured")
        if end == "first":
            measure_dirty_rate(qmp)
    let_go(qmp)


def check_dirty_rate(ends: Ends) -> str:
    """Pages were dropped while the dirty rate was measured."""
    dropped = ends.info.get("free-page-filter", {}).get("dropped-pages", 0)
    if not dropped:
        raise LabError("no page was dropped")
    return f"{dirty_rate(ends.source.qmp)['dirty-rate']} MiB/s written"


def check_zero_copy(ends: Ends) -> str:
    """Whether the kernel did without copying, which it says for each of QEMU's flushes."""
    ram = ends.info["ram"]
    copied = ram["dirty-sync-missed-zero-copy"]
    return (f"{ram['multifd-bytes'] >> 20} MiB by multifd; the kernel "
            + (f"fell back to copying, it said so {copied} times" if copied else "never fell back to copying"))


SENDING_FEATURES = {feature.name: feature for feature in (
    Feature("dirty-rate", parameters=HELD, before=measure_dirty_rate, during=measure_again,
            loaded=check_dirty_rate),
    Feature("patience", ready=wait_for_report),
    # It ends, however fast the guest boots and writes.
    Feature("early", early=True, parameters={"downtime-limit": 10000}),
    Feature("agent", reports=True, loaded=check_reports_came),
    Feature("zero-copy-send", capabilities=("multifd", "zero-copy-send"), parameters={"multifd-channels": 2}, tcp=True,
            loaded=check_zero_copy, excludes=("xbzrle", "file", "mapped-ram")),
)}
