# SPDX-License-Identifier: GPL-2.0-only
"""How large snapshots are with and without the filter: rows, a table and a picture."""

import statistics
from typing import Callable, Mapping, Sequence

from .picture import histogram
from .result_table import MIB, Result, align

HEAD = ("workload", "guest MiB", "first diff MiB", "filtered", "x", "later diffs MiB", "filtered", "x", "filtered pages", "verified")
NAMES = 1  # columns that are no figures
COLOURS = {"plain": "#9a9a9a", "filtered": "#2f9e63"}
Figures = Mapping[str, float]


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


def figures(row: Result) -> Figures:
    """What the table and the picture show of a row."""
    return {"guest_mib": row["guest_mib"], "plain_bytes": row["plain_bytes"], "filtered_bytes": row["filtered_bytes"],
            "plain_first": row["plain_diffs"][0], "filtered_first": row["filtered_diffs"][0],
            "plain_later": sum(row["plain_diffs"][1:]), "filtered_later": sum(row["filtered_diffs"][1:]),
            "filtered_pages": sum(row["filtered_pages"])}


def summarise(rows: Sequence[Result], figures_of: Callable[[Result], Figures] = figures) -> list[Result]:
    """For each workload the medians of its rows' figures; those that were not verified have none."""
    summary = []
    for name in dict.fromkeys(row["workload"] for row in rows):
        mine = [row for row in rows if row["workload"] == name]
        good = [figures_of(row) for row in mine if row["verified"]]
        medians = {key: statistics.median(row[key] for row in good) for key in good[0]} if good else {}
        summary.append({"workload": name, "runs": len(mine), "verified": len(good), **medians})
    return summary


def sizes(row: Result, diffs: str) -> list[str]:
    """Both sizes, and what the filter left of the plain one."""
    plain, filtered = row[f"plain_{diffs}"], row[f"filtered_{diffs}"]
    return [f"{plain / MIB:.1f}", f"{filtered / MIB:.1f}", f"{filtered / plain:.2f}"]


def line_of(row: Result, head: Sequence[str], cells: Callable[[Result], list[str]]) -> list[str]:
    """A line of a table: the workload, its figures and how many runs were verified."""
    verified = f"{'yes' if row['verified'] == row['runs'] else 'NO'} {row['verified']}/{row['runs']}"
    return [row["workload"], *(cells(row) if row["verified"] else "-" * (len(head) - 2)), verified]


def cells_of(row: Result) -> list[str]:
    """The figures of a line of the table."""
    return [f"{row['guest_mib']:.0f}", *sizes(row, "first"), *sizes(row, "later"), f"{row['filtered_pages']:.0f}"]


def format_table(summary: Sequence[Result]) -> str:
    """The summary as text."""
    return align([list(HEAD)] + [line_of(row, HEAD, cells_of) for row in summary], NAMES)


def picture_script(summary: Sequence[Result], title: str) -> str:
    """What gnuplot has to do: a pair of bars for each workload."""
    lines = []
    for row in summary:
        heights = [f"{row[f'{name}_bytes'] / MIB:.1f}" if row["verified"] else "NaN" for name in COLOURS]
        lines.append(f'"{row["workload"]}" {" ".join(heights)}')
    return histogram(title, "written, MiB", COLOURS, lines)
