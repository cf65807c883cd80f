# SPDX-License-Identifier: GPL-2.0-only
"""A test that is a list of migrations, each with features, in one boot of the lab's host."""

import dataclasses
import sys
from typing import Any, Sequence

from ..common.errors import LabError
from ..common.tap import Tap, comment
from .session import build_or_skip, run_cases, split_version

GUEST_MIB = 512


@dataclasses.dataclass(frozen=True)
class Case:
    """One migration, as lab/l1/migrate's --case has it, and what is seen in it."""

    how: str
    what: str
    pages: int = 1  # the fewest that the guest's first check on the destination must see
    requested: int = 0  # the fewest dropped ones that the destination must ask for in postcopy
    kept_mib: int = GUEST_MIB  # the most that the guest may have less of afterwards, as it keeps it for the balloon

    def passed(self, result: dict[str, Any]) -> bool:
        """Whether the guest was verified, and had as many pages as it should."""
        return (result["verified"] and result["verified_pages"][0] >= self.pages
                and result.get("requested_pages", 0) >= self.requested
                and result.get("kept_bytes", 0) <= self.kept_mib << 20)


@dataclasses.dataclass(frozen=True)
class Skipped:
    """A migration that cannot be done here."""

    what: str
    why: str


def told(result: dict[str, Any]) -> str:
    """What a migration has found, for a comment."""
    if not result["verified"]:
        return result["error"]
    if "sent_bytes" not in result:
        return result["blocked"]
    differing = ", ".join(f"{count} {what}" for what, count in result["differing"].items() if count)
    return "; ".join([f"{result['sent_bytes'] >> 20} MiB sent in {result['rounds']} rounds, "
                      f"{result['dropped_pages']} pages dropped, {result['differing_pages']} differ"
                      f"{differing and f' ({differing})'}, "
                      f"the guest checked {' and '.join(map(str, result['verified_pages']))}", *result["found"]])


def test_cases(cases: Sequence[Case], skipped: Sequence[Skipped] = (), qemu: Sequence[str] = (),
               guest_mib: int = GUEST_MIB) -> int:
    """Print TAP; 0 if all migrations were verified. They are made with another version of QEMU if one is named."""
    parts = build_or_skip(*qemu)
    tap = Tap(len(cases) + len(skipped))
    results: list[dict[str, Any]] = []
    well = True
    try:
        results = run_cases([case.how for case in cases], guest_mib, parts, comment)
    except LabError as error:
        well = False
        comment(f"FAILED: {error}")
    for number, case in enumerate(cases):
        result = results[number] if number < len(results) else {"verified": False, "error": "the lab ended before that"}
        comment(told(result))
        tap.result(case.passed(result), f"{case.how.split(':')[1]}: {case.what}")
    for skip in skipped:
        tap.skip(skip.what, skip.why)
    return tap.end() or int(not well)


def main(short: Sequence[Case], more: Sequence[Case], skipped: Sequence[Skipped] = (),
         newer: Sequence[Case] = ()) -> int:
    """The program: [--all] [VERSION]. Without --all the default version of QEMU does the short form, and a newer one
    what that alone does, if anything."""
    version, rest = split_version(sys.argv[1:])
    everything = rest == ["--all"]
    if rest and not everything:
        print(f"usage: {sys.argv[0].rsplit('/', 1)[-1]} [--all] [VERSION]", file=sys.stderr)
        return 2
    own = newer if version else ()
    cases = [*short, *more, *own] if everything else own or short
    return test_cases(cases, skipped if everything or not own else (), version)
