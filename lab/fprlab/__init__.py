# SPDX-License-Identifier: GPL-2.0-only
"""The lab's migrations: guests, measurements, and how they are shown."""

WORKLOADS = ("idle", "freed", "frag", "churn", "forks")
# Those that need a device, which a feature brings.
DEVICE_WORKLOADS = ("disk", "net")
# Of lab/tests/race_test alone.
RACE_WORKLOAD = "pressure"
MODES = ("plain", "pagemap", "hint", "filter-hint", "filter-report")
FILTER_MODES = ("filter-hint", "filter-report")


class LabError(Exception):
    """Something failed; the message is one line and says what."""


class LostPages(LabError):
    """Pages of a guest do not hold what was written to them."""

    def __init__(self, pages: int, message: str) -> None:
        super().__init__(message)
        self.pages = pages
