# SPDX-License-Identifier: GPL-2.0-only
"""What chains of flat snapshots take on disk, plain, filtered and punched: rows, a table and a picture."""

import statistics
from typing import Sequence

from .picture import histogram
from .result_table import MIB, Result, align
from .snapshot_table import Figures, line_of, summarise

HEAD = ("workload", "guest MiB", "plain MiB", "apart", "filtered", "x plain", "punched", "x plain", "needed", "x needed",
        "pages read: plain", "punched", "used again: apart", "exec", "filter ms", "snapshot ms", "plain", "verified")
NAMES = 1  # columns that are no figures
COLOURS = {"plain": "#9a9a9a", "filtered": "#2f9e63", "punched": "#2a78b0", "needed": "#c03030"}
# What there is a figure of for each diff.
OF_DIFFS = ("chain_apart_used_again_pages", "chain_used_again_pages",
            "chain_filter_ms", "chain_snapshot_ms", "chain_plain_snapshot_ms")
PICTURED = ("chain_plain_bytes", "chain_filtered_bytes", "chain_punched_bytes", "live_bytes")


def row_of(ways: dict[str, Result]) -> Result:
    """The chains of one workload, by their ways. The bytes are allocated ones, of all flat files of the chain; the pages
    read are those that a restored guest has read until it had verified its memory once, and the pages used again those
    of each diff that the report before it had named."""
    plain, filtered = ways["plain"], ways["exec"]
    row = {"workload": plain["workload"], "repeat": plain["repeat"],
           "verified": all(result["verified"] for result in ways.values())}
    if not row["verified"]:
        return row
    row |= {
        "guest_mib": plain["guest_mib"],
        "chain_plain_bytes": sum(plain["allocated_bytes"]), "chain_filtered_bytes": sum(filtered["allocated_bytes"]),
        "chain_punched_bytes": sum(filtered["punched_bytes"]), "live_bytes": filtered["live_bytes"],
        "restore_pages_read": filtered["pages_read"], "restore_pages_read_plain": plain["pages_read"],
        "chain_layers": {"plain": plain["allocated_bytes"], "filtered": filtered["allocated_bytes"],
                         "punched": filtered["punched_bytes"]},
        "chain_used_again_pages": filtered["used_again_pages"],
        "chain_filter_ms": filtered["filter_ms"], "chain_snapshot_ms": filtered["snapshot_ms"],
        "chain_plain_snapshot_ms": plain["snapshot_ms"],
        "chain_verified_prefixes": sum(result["verified_prefixes"] for result in ways.values()),
        "chain_given_up_pages": filtered["given_up_pages"],
        "chain_superseded_pages": filtered["superseded_pages"], "chain_free_pages": filtered["free_pages"],
    }
    if "apart" in ways:
        row["chain_apart_bytes"] = sum(ways["apart"]["allocated_bytes"])
        row["chain_layers"]["apart"] = ways["apart"]["allocated_bytes"]
        row["chain_apart_used_again_pages"] = ways["apart"]["used_again_pages"]
    return row


def rows_of(results: Sequence[Result]) -> dict[tuple[str, int], Result]:
    """A row for each workload and repeat, by these."""
    found: dict[tuple[str, int], dict[str, Result]] = {}
    for result in results:
        found.setdefault((result["workload"], result["repeat"]), {})[result["way"]] = result
    return {key: row_of(ways) for key, ways in found.items()}


def add_chains(rows: Sequence[Result], chains: dict[tuple[str, int], Result]) -> list[Result]:
    """Rows of snapshot_table with what their workloads' chains add. One is verified if both are. Either may not have
    been measured at all."""
    pairs = {(row["workload"], row["repeat"]): row for row in rows}
    return [{**pairs.get(key, {}), **chains.get(key, {}),
             "verified": all(found[key]["verified"] for found in (pairs, chains) if key in found)}
            for key in dict.fromkeys([*pairs, *chains])]


def figures(row: Result) -> Figures:
    """What the table and the picture show of a row."""
    keys = [key for key in row if key in (*PICTURED, "chain_apart_bytes", "guest_mib") or key.startswith("restore_")]
    of_diffs = {key: statistics.median(row[key]) for key in OF_DIFFS if key in row}
    return {**{key: row[key] for key in keys}, **of_diffs}


def cells(row: Result) -> list[str]:
    """The figures of a line of the table."""
    plain, filtered, punched, live = (row[key] for key in PICTURED)
    apart = f"{row['chain_apart_bytes'] / MIB:.1f}" if "chain_apart_bytes" in row else "-"
    of_diffs = [f"{row[key]:.0f}" if key in row else "-" for key in OF_DIFFS]
    return [f"{row['guest_mib']:.0f}", f"{plain / MIB:.1f}", apart, f"{filtered / MIB:.1f}", f"{filtered / plain:.2f}",
            f"{punched / MIB:.1f}", f"{punched / plain:.2f}", f"{live / MIB:.1f}", f"{punched / live:.2f}",
            *(f"{row[key]:.0f}" for key in ("restore_pages_read_plain", "restore_pages_read")), *of_diffs]


def format_table(rows: Sequence[Result]) -> str:
    """Medians for each workload, as text."""
    return align([list(HEAD)] + [line_of(row, HEAD, cells) for row in summarise(rows, figures)], NAMES)


def picture_script(rows: Sequence[Result], title: str) -> str:
    """What gnuplot has to do: bars for each workload."""
    lines = []
    for row in summarise(rows, figures):
        heights = [f"{row[key] / MIB:.1f}" if row["verified"] else "NaN" for key in PICTURED]
        lines.append(f'"{row["workload"]}" {" ".join(heights)}')
    return histogram(title, "on disk, MiB", COLOURS, lines)
