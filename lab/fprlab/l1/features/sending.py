# SPDX-License-Identifier: GPL-2.0-only
"""How pages may be sent, as features like those of feature.py that not every migration
can have."""

from ..qmp import Qmp
from .feature import Ends, Feature, Side

PATIENCE_MS = 10000  # the most that QEMU takes


def reports(qmp: Qmp) -> bool:
    """Whether this QEMU asks its guest for reports."""
    return any(item["name"] == "report0" for item in qmp.execute("qom-list", path="/objects"))


def wait_for_report(source: Side) -> None:
    """No page is sent before the first report, however long that takes."""
    if reports(source.qmp):
        source.qmp.execute("qom-set", path="/objects/report0", property="wait-first-report", value=PATIENCE_MS)


def check_zero_copy(ends: Ends) -> str:
    """Whether the kernel did without copying, which it says for each of QEMU's flushes."""
    ram = ends.info["ram"]
    copied = ram["dirty-sync-missed-zero-copy"]
    return (f"{ram['multifd-bytes'] >> 20} MiB by multifd; the kernel "
            + (f"fell back to copying, it said so {copied} times" if copied else "never fell back to copying"))


SENDING_FEATURES = {feature.name: feature for feature in (
    Feature("patience", ready=wait_for_report),
    Feature("zero-copy-send", capabilities=("multifd", "zero-copy-send"), parameters={"multifd-channels": 2}, tcp=True,
            loaded=check_zero_copy, excludes=("xbzrle", "file", "mapped-ram")),
)}
