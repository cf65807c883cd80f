# SPDX-License-Identifier: GPL-2.0-only
"""How large snapshots are with and without the filter: rows, a table and a picture."""

import statistics
from typing import Sequence

from .picture import histogram
from .result_table import MIB, Result, align

HEAD = ("workload", "first diff MiB", "filtered", "x", "later diffs MiB", "filtered", "x", "dropped pages", "verified")
NAMES = 1  # columns that are no figures
COLOURS = {"plain": "#9a9a9a", "filtered": "#2f9e63"}
MEDIANS = ("plain_bytes", "filtered_bytes", "plain_first", "filtered_first", "plain_later", "filtered_later",
           "filtered_pages")


def row_of(plain: Result, filtered: Result) -> Result:
    """A plain chain and a filtered one. The sizes are of all files after a chain's first one,
    which is the same in both."""
    row = {"workload": plain["workload"], "repeat": plain["repeat"],
           "verified": plain["verified"] and filtered["verified"]}
    if not row["verified"]:
        return row
    return {
        **row,
        "plain_bytes": sum(plain["diff_bytes"]), "filtered_bytes": sum(filtered["diff_bytes"]),
        "plain_diffs": plain["diff_bytes"], "filtered_diffs": filtered["diff_bytes"],
        "filtered_pages": filtered["filtered_pages"], "differing_pages": filtered["differing_pages"],
        "verified_pages": sum(plain["verified_pages"] + filtered["verified_pages"]),
        "guest_mib": plain["guest_mib"],
    }


def rows_of(results: Sequence[Result]) -> list[Result]:
    """A row for each pair of chains, in the order of the runs."""
    found: dict[tuple[str, int], dict[bool, Result]] = {}
    for result in results:
        found.setdefault((result["workload"], result["repeat"]), {})[result["filtered"]] = result
    return [row_of(pair[False], pair[True]) for pair in found.values()]


def figures(row: Result) -> dict[str, int]:
    """What the table and the picture show of a row."""
    return {"plain_bytes": row["plain_bytes"], "filtered_bytes": row["filtered_bytes"],
            "plain_first": row["plain_diffs"][0], "filtered_first": row["filtered_diffs"][0],
            "plain_later": sum(row["plain_diffs"][1:]), "filtered_later": sum(row["filtered_diffs"][1:]),
            "filtered_pages": sum(row["filtered_pages"])}


def median_row(rows: Sequence[Result]) -> Result:
    """The medians of one workload's rows; those that were not verified have no figures."""
    good = [figures(row) for row in rows if row["verified"]]
    medians = {key: statistics.median(row[key] for row in good) for key in MEDIANS} if good else {}
    return {"workload": rows[0]["workload"], "runs": len(rows), "verified": len(good), **medians}


def summarise(rows: Sequence[Result]) -> list[Result]:
    """A row of medians for each workload."""
    names = dict.fromkeys(row["workload"] for row in rows)
    return [median_row([row for row in rows if row["workload"] == name]) for name in names]


def sizes(row: Result, diffs: str) -> list[str]:
    """Both sizes, and what the filter left of the plain one."""
    plain, filtered = row[f"plain_{diffs}"], row[f"filtered_{diffs}"]
    return [f"{plain / MIB:.1f}", f"{filtered / MIB:.1f}", f"{filtered / plain:.2f}"]


def cells(row: Result) -> list[str]:
    """A line of the table."""
    verified = f"{'yes' if row['verified'] == row['runs'] else 'NO'} {row['verified']}/{row['runs']}"
    if not row["verified"]:
        return [row["workload"], *("-" * (len(HEAD) - 2)), verified]
    return [row["workload"], *sizes(row, "first"), *sizes(row, "later"), f"{row['filtered_pages']:.0f}", verified]


def format_table(summary: Sequence[Result]) -> str:
    """The summary as text."""
    return align([list(HEAD)] + [cells(row) for row in summary], NAMES)


def picture_script(summary: Sequence[Result], title: str) -> str:
    """What gnuplot has to do: a pair of bars for each workload."""
    lines = []
    for row in summary:
        heights = [f"{row[f'{name}_bytes'] / MIB:.1f}" if row["verified"] else "NaN" for name in COLOURS]
        lines.append(f'"{row["workload"]}" {" ".join(heights)}')
    return histogram(title, "written, MiB", COLOURS, lines)
