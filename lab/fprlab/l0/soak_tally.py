# SPDX-License-Identifier: GPL-2.0-only
"""What a soak counts, and how it is shown."""

import json
from collections import Counter
from pathlib import Path
from typing import Any, Iterator

from .result_table import write_atomically

Result = dict[str, Any]


def ways(result: Result) -> Iterator[tuple[str, str]]:
    """The rows of the table in which a migration counts."""
    for kind in ("mode", "workload", "transport", "failure"):
        if result[kind]:
            yield kind, result[kind]
    for feature in result["features"]:
        yield "feature", feature


class Tally:
    """The counts of a soak, and of each way in which it migrated."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._total: Counter[str] = Counter()
        self._rows: dict[tuple[str, str], Counter[str]] = {}
        self.first_failure = ""

    def add(self, result: Result) -> None:
        """Count one migration more."""
        counts: Counter[str] = Counter({
            "migrations": 1, "completed": int(result.get("status") == "completed"),
            "postcopy": int(bool(result.get("postcopy_bytes"))), "failures_injected": int(result.get("injected", False)), "wrong": int(not result["verified"]),
            "pages_verified": result.get("verified_pages", 0), "pages_compared": result.get("compared_pages", 0),
            "pages_dropped": result.get("dropped_pages", 0), "reports": result.get("reports", 0),
            "pages_lost": result.get("lost_pages", 0), "pokes": result.get("pokes", 0)})
        self._total.update(counts)
        for way in ways(result):
            self._rows.setdefault(way, Counter()).update(counts)

    def good(self) -> bool:
        """Whether something was done and nothing was wrong."""
        return bool(self._total["migrations"]) and not self._total["wrong"] and not self.first_failure

    def as_json(self, seconds: float) -> Result:
        """The object of out/soak.json."""
        names = ("migrations", "completed", "postcopy", "failures_injected", "wrong", "pages_verified", "pages_compared",
                 "pages_dropped", "pages_lost", "reports", "pokes")
        return {"seed": self._seed, **{name: self._total[name] for name in names}, "seconds": round(seconds),
                "first_failure": self.first_failure,
                "by": [{kind: name, **counts} for (kind, name), counts in sorted(self._rows.items())]}

    def write(self, path: Path, seconds: float) -> None:
        """Write the file, so that an interrupted soak leaves what it has done."""
        write_atomically(path, json.dumps(self.as_json(seconds), indent=1) + "\n")

    def table(self) -> str:
        """A line for each way, and one for all."""
        columns = ("migrations", "completed", "postcopy", "failures_injected", "reports", "pages_dropped", "pages_verified",
                   "pages_lost", "wrong")
        lines = [("", *(column.replace("_", " ") for column in columns))]
        for (kind, name), counts in [*sorted(self._rows.items()), (("all", ""), self._total)]:
            lines.append((f"{kind} {name}".strip(), *(str(counts[column]) for column in columns)))
        widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
        return "\n".join("  ".join(cell.rjust(width) if column else cell.ljust(width)
                                   for column, (cell, width) in enumerate(zip(line, widths))) for line in lines)


def progress_line(result: Result) -> str:
    """A line of progress."""
    how = [result["mode"], result["workload"], f"{result['guest_mib']} MiB", result["transport"], *result["features"]]
    if result["bandwidth_mib"]:
        how.append(f"{result['bandwidth_mib']} MiB/s")
    failure = f", {result['failure']}" if result["failure"] else ""
    if failure and result["verified"] and not result["injected"]:
        failure += " (too late)"
    if not result["verified"]:
        end = f"WRONG: {result['error']}"
    else:
        end = (f"{result['status']}{' in postcopy' if result.get('postcopy_bytes') else ''}, {result['dropped_pages']} pages dropped, {result['verified_pages']} verified, "
               f"{result['compared_pages']} compared")
        if result.get("pokes"):
            end += f", the guest was poked {result['pokes']} times"
    return f"{result['seconds']:5.0f} s: guest {result['guest']}.{result['hop']}: {' '.join(how)}{failure}: {end}"
