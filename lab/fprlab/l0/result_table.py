# SPDX-License-Identifier: GPL-2.0-only
"""Results as rows with medians, as a table, and as a file."""

import json
import os
import statistics
import time
from pathlib import Path
from typing import Any, Callable, Optional, Sequence

from ..common.names import MODES, PROGRAM_WORKLOADS, WORKLOADS

MIB = 1 << 20
MEDIANS = ("sent_bytes", "pages_normal", "total_ms", "downtime_ms", "rounds",
           "filtered_pages", "confirmed_pages", "needed_bytes", "held_bytes")
# Not measured of every run.
OPTIONAL = ("must_bytes", "loops_per_second", "write_faults", "agent_cpu_ms")
HEAD = ("workload", "mode", "sent MiB", "x plain", "pages", "total ms", "x plain", "downtime ms",
        "rounds", "filtered", "confirmed", "needed MiB", "sent/needed",
        "held MiB", "must MiB", "sent/must", "loops/s", "x plain", "write faults", "agent ms", "verified")
NARROW = (0, 1, 2, 3, -1)  # columns of HEAD; WIDE=1 shows all
ROW = "{:<8}  {:<13}  {:>8}  {:>7}  {:>8}"  # the columns of NARROW, for one run that has ended

Result = dict[str, Any]


def median_row(results: Sequence[Result]) -> Result:
    """The medians of one workload's runs in one mode; failed runs have no figures."""
    good = [result for result in results if result["verified"]]
    row = {key: statistics.median(result[key] for result in good) for key in MEDIANS} if good else {}
    for key in OPTIONAL:
        if known := [result[key] for result in good if result.get(key) is not None]:
            row[key] = statistics.median(known)
    return {"workload": results[0]["workload"], "mode": results[0]["mode"],
            "runs": len(results), "verified": len(good), **row}


def summarise(results: Sequence[Result]) -> list[Result]:
    """A row for each workload and mode that was run."""
    rows = []
    for workload in WORKLOADS + PROGRAM_WORKLOADS:
        for mode in MODES:
            group = [result for result in results
                     if (result["workload"], result["mode"]) == (workload, mode)]
            if group:
                rows.append(median_row(group))
    return rows


def ratio(row: Result, base: Optional[Result], key: str) -> str:
    """A figure relative to the same workload's plain one."""
    if not base or not base.get(key) or key not in row:
        return "-"
    return f"{row[key] / base[key]:.2f}"


def optional(row: Result, key: str, form: str, divisor: int = 1) -> str:
    """A figure that was perhaps not measured."""
    return format(row[key] / divisor, form) if key in row else "-"


def cells(row: Result, plain: Optional[Result]) -> list[str]:
    """A line of the table."""
    name = [row["workload"], row["mode"]]
    verified = "yes" if row["verified"] == row["runs"] else "NO"
    if row["runs"] > 1:
        verified += f" {row['verified']}/{row['runs']}"
    if "sent_bytes" not in row:
        return name + ["-"] * (len(HEAD) - 3) + [verified]
    return name + [
        f"{row['sent_bytes'] / MIB:.1f}", ratio(row, plain, "sent_bytes"),
        f"{row['pages_normal']:.0f}",
        f"{row['total_ms']:.0f}", ratio(row, plain, "total_ms"), f"{row['downtime_ms']:.0f}",
        f"{row['rounds']:g}", f"{row['filtered_pages']:.0f}", f"{row['confirmed_pages']:.0f}",
        f"{row['needed_bytes'] / MIB:.1f}", f"{row['sent_bytes'] / row['needed_bytes']:.2f}",
        f"{row['held_bytes'] / MIB:.1f}",
        optional(row, "must_bytes", ".1f", MIB),
        f"{row['sent_bytes'] / row['must_bytes']:.2f}" if row.get("must_bytes") else "-",
        optional(row, "loops_per_second", ".1f"), ratio(row, plain, "loops_per_second"),
        optional(row, "write_faults", ".0f"), optional(row, "agent_cpu_ms", ".0f"), verified]


def align(lines: Sequence[Sequence[str]], names: int) -> str:
    """Cells as text: so many columns of names to the left, figures to the right."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) if column < names else cell.rjust(width)
                  for column, (cell, width) in enumerate(zip(line, widths))).rstrip()
        for line in lines)


def narrow(line: Sequence[str]) -> list[str]:
    """The columns that answer the first question."""
    return [line[column] for column in NARROW]


def format_table(rows: Sequence[Result], wide: bool = False) -> str:
    """The rows as text."""
    plain = {row["workload"]: row for row in rows if row["mode"] == "plain"}
    lines = [list(HEAD)] + [cells(row, plain.get(row["workload"])) for row in rows]
    return align(lines if wide else [narrow(line) for line in lines], 2)


class RunRows:
    """Lines for runs as they end, and how long the others may take. The clock gives seconds."""

    def __init__(self, runs: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._runs = runs
        self._clock = clock
        self._start = clock()
        self._done = 0
        self._plain: dict[str, Result] = {}

    @staticmethod
    def head() -> str:
        """The line above the rows."""
        return ROW.format(*narrow(HEAD)).rstrip()

    def left(self) -> str:
        """How long the others take if they take as long as these did."""
        if self._done == self._runs:
            return "the last run"
        seconds = (self._clock() - self._start) / self._done * (self._runs - self._done)
        return f"run {self._done} of {self._runs}, about {max(1, round(seconds / 60))} min left"

    def line(self, result: Result) -> str:
        """The line of the next run."""
        self._done += 1
        row = median_row([result])
        if row["mode"] == "plain":
            self._plain[row["workload"]] = row
        return ROW.format(*narrow(cells(row, self._plain.get(row["workload"])))) + f"  ({self.left()})"


def write_atomically(path: Path, text: str) -> None:
    """The file is either the old one or the whole new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def write_json(path: Path, results: Sequence[Result]) -> None:
    """An array with one object for each run, each on a line of its own."""
    lines = ",\n".join(json.dumps(result) for result in results)
    write_atomically(path, f"[\n{lines}\n]\n")
