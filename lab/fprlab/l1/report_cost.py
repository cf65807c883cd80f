# SPDX-License-Identifier: GPL-2.0-only
"""What a report costs: the pages that a guest writes to when it makes one, which are in its next snapshot."""

import dataclasses
import functools
import operator
import socket
import statistics

from ..common import wire
from .agents.relay import receive_report
from .flat_chain import data_pages
from .snapvmm import Snapvmm, memory_file

WARM_UP = 3
TAG = 1


@dataclasses.dataclass(frozen=True)
class ReportCost:
    """The pages of diffs of an idle guest, one bit a page; between the diffs it made a report, or none."""

    with_report: list[int]
    without: list[int]
    first: int = 0  # of the first one with a report after the guest was restored

    def more(self) -> float:
        """How many pages more a diff has that comes after a report: the difference of the medians."""
        return (statistics.median(pages.bit_count() for pages in self.with_report) -
                statistics.median(pages.bit_count() for pages in self.without))

    def own(self) -> int:
        """Those that are in each diff after a report and in no other one: the same ones again and again."""
        return (functools.reduce(operator.and_, self.with_report) &
                ~functools.reduce(operator.or_, self.without))

    def first_only(self) -> int:
        """What the first report after the guest was restored had besides: in no diff without one, nor in each with one."""
        return self.first & ~functools.reduce(operator.or_, self.without) & ~self.own()


def ask(vmm: Snapvmm) -> None:
    """Have a report made, and do nothing with it: fprctl filter would take pages out of the log."""
    with socket.socket(socket.AF_UNIX) as guest:
        guest.connect(str(vmm.directory / "report"))
        guest.sendall(wire.request(TAG))
        receive_report(guest)


def take_diff(vmm: Snapvmm, report: bool) -> int:
    """What the guest, which is paused before and after, writes to from one beat to the next but one."""
    file = vmm.directory / "diff"
    vmm.resume()
    vmm.port.wait_beat()
    if report:
        ask(vmm)
    vmm.port.wait_beat()
    vmm.pause()
    vmm.diff(file)
    pages = data_pages(memory_file(file))
    for name in (file, memory_file(file)):
        name.unlink()
    return pages


def measure(vmm: Snapvmm, rounds: int) -> ReportCost:
    """Take diffs with and without a report in turn, so that both have of what the guest does besides. In a guest that
    was restored pages are dirty when they are read for the first time: the first diffs do not count."""
    take_diff(vmm, False)
    first = take_diff(vmm, True)
    for _ in range(WARM_UP - 1):
        take_diff(vmm, True)
    pages: dict[bool, list[int]] = {False: [], True: []}
    for _ in range(rounds):
        for report, found in pages.items():
            found.append(take_diff(vmm, report))
    return ReportCost(pages[True], pages[False], first)
