# SPDX-License-Identifier: GPL-2.0-only
"""How large snapshots are with and without the filter: rows and a table."""

from typing import Sequence

from .report import MIB, Result, align

HEAD = ("workload", "first diff MiB", "filtered", "x", "later diffs MiB", "filtered", "x", "dropped pages", "verified")
NAMES = 1  # columns that are no figures


def row_of(plain: Result, filtered: Result) -> Result:
    """One workload. The sizes are of all files after a chain's first one, which is the same."""
    row = {"workload": plain["workload"], "verified": plain["verified"] and filtered["verified"]}
    if not row["verified"]:
        return row
    return {
        **row,
        "plain_bytes": sum(plain["diff_bytes"]), "filtered_bytes": sum(filtered["diff_bytes"]),
        "plain_diffs": plain["diff_bytes"], "filtered_diffs": filtered["diff_bytes"],
        "filtered_pages": filtered["filtered_pages"], "differing_pages": filtered["differing_pages"],
        "guest_mib": plain["guest_mib"],
    }


def rows_of(results: Sequence[Result]) -> list[Result]:
    """A row for each workload, in the order of the runs."""
    found: dict[str, dict[bool, Result]] = {}
    for result in results:
        found.setdefault(result["workload"], {})[result["filtered"]] = result
    return [row_of(pair[False], pair[True]) for pair in found.values()]


def sizes(plain: Sequence[int], filtered: Sequence[int]) -> list[str]:
    """Both, and what the filter left of the first."""
    return [f"{sum(plain) / MIB:.1f}", f"{sum(filtered) / MIB:.1f}", f"{sum(filtered) / sum(plain):.2f}"]


def cells(row: Result) -> list[str]:
    """A line of the table."""
    if not row["verified"]:
        return [row["workload"], *("-" * (len(HEAD) - 2)), "NO"]
    plain, filtered = row["plain_diffs"], row["filtered_diffs"]
    return [row["workload"], *sizes(plain[:1], filtered[:1]), *sizes(plain[1:], filtered[1:]),
            str(sum(row["filtered_pages"])), "yes"]


def format_table(rows: Sequence[Result]) -> str:
    """The rows as text."""
    return align([list(HEAD)] + [cells(row) for row in rows], NAMES)

