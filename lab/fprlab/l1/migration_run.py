# SPDX-License-Identifier: GPL-2.0-only
"""One migration that is to be measured."""

import dataclasses
from typing import Optional

from .features.feature import Feature, Postcopy
from .guest_qemu import Guest


NOT_SET = "the migration capability free-page-filter is not set"


@dataclasses.dataclass(frozen=True)
class Run:
    """The choices of one migration."""

    workload: str
    mode: str
    repeat: int
    bandwidth: int  # bytes a second, 0: no cap
    timeout: int  # seconds without progress
    expect_stock: bool  # this kernel has no filter: filter modes have to fall back
    label: str  # for progress
    agent: str = ""  # of fprlab.l1.agents.misbehaving, in the place of the guest's own
    features: tuple[Feature, ...] = ()
    may_lose: bool = False  # with stock hints a guest's wrong pages are a result

    def guest(self) -> Guest:
        """The guest that it migrates."""
        return Guest(self.workload, self.mode, self.features)

    def blocked(self) -> str:
        """Why the filter has to be off, if it has to."""
        if self.refused():
            return NOT_SET
        return next((feature.blocked for feature in self.features if feature.blocked), "")

    def refused(self) -> str:
        """What QEMU says when the filter's capability is set on the source, if it has to refuse that."""
        if self.expect_stock:
            return "the kernel has no free page filter"
        return next((feature.refused for feature in self.features if feature.refused), "")

    def postcopy(self) -> Optional[Postcopy]:
        """How it goes over to postcopy, if it does."""
        return next((feature.postcopy for feature in self.features if feature.postcopy), None)

    def runs_on(self) -> bool:
        """Whether the guest goes on at the destination while its memory comes."""
        how = self.postcopy()
        return bool(how and how.runs)

    def loses(self) -> bool:
        """Whether the guest is lost with its destination."""
        how = self.postcopy()
        return bool(how and how.loses)

    def early(self) -> bool:
        """Whether it is migrated before it has an agent, or anything else."""
        return any(feature.early for feature in self.features)

    def stays(self) -> bool:
        """Whether the guest goes on at the source."""
        return any(feature.snapshot or feature.cancelled for feature in self.features)
