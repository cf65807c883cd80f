# SPDX-License-Identifier: GPL-2.0-only
"""What the filter costs, in instructions of the lab's host (L1): figures and ratios."""

import dataclasses
import json
import re
import statistics
import subprocess
from pathlib import Path
from typing import Any, Callable, Mapping, Optional, Sequence

from ..common.errors import LabError
from ..common.names import TOP
from .picture import run_gnuplot
from .result_table import write_atomically
from .session import built

STATES = ("4k_all", "4k_1pct", "thp_all", "thp_1pct")
PAGE_KINDS = ("4k", "thp")
SIZES_GIB = (1, 64, 1024, 24576)  # of memory, as fpr_bench_size has them
ARM_GOAL = 0.5
HOOK_GOAL = 0.01
NEVER_ARMED_GOAL = 0.001
CLOCK_TOLERANCE = 0.001

BOOTS = 3              # of stock and of our modules each, in turn
RUNS_OF_A_BOOT = 2     # the first of a boot finds other memory free than the next
DIRTY_MIB = 64
DIRTY_ROUNDS = 6
DIRTY_PAGES = DIRTY_MIB * 256
# Of each run: the guest populates its memory, writes to it once while it is still
# not protected, and then as often as there are rounds left.
NOT_PROTECTED = 2
TIMEOUT = 600
# The bitmaps of 24 TiB take 2.3 GiB, and the addresses more bits than the emulator has unless it is told.
SIZES_OPTIONS = ("--memory", "5120", "--qemu-arg=-cpu", "--qemu-arg=max,-erms,-fsrm,phys-bits=46")

FIGURE = re.compile(r"^([a-z0-9_]+)=(\d+(?:,\d+)*)$")

Figures = dict[str, list[int]]
Show = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Row:
    """A line of the table; lower is better."""

    name: str
    value: Optional[float]
    goal: Optional[float]
    how: str

    def verdict(self) -> str:
        """Whether the goal was reached."""
        if self.value is None or self.goal is None:
            return "-"
        return "yes" if self.value <= self.goal else "NO"


def parse_figures(text: str) -> Figures:
    """Lines NAME=VALUE,...; what comes again is appended, all other lines are skipped."""
    figures: Figures = {}
    for line in text.splitlines():
        match = FIGURE.match(line.rstrip())
        if match:
            figures.setdefault(match[1], []).extend(int(value) for value in match[2].split(","))
    return figures


def median(figures: Mapping[str, Sequence[int]], name: str) -> float:
    """The median of what must have been measured."""
    if not figures.get(name):
        raise LabError(f"the lab gave no figure {name}")
    return statistics.median(figures[name])


def check_clock(figures: Figures, tolerance: float = CLOCK_TOLERANCE) -> None:
    """A nanosecond of the clock was an instruction, or all figures mean nothing."""
    wanted, got = median(figures, "clock_instructions"), median(figures, "clock_ns")
    if abs(got / wanted - 1) > tolerance:
        raise LabError(f"the lab's clock does not count instructions: {got:.0f} ns for {wanted:.0f}")


def over_clear(figures: Figures, state: str) -> float:
    """What ARM takes beside what CLEAR takes."""
    return median(figures, f"arm_{state}") / median(figures, f"clear_{state}")


def dirtying(figures: Figures, name: str = "vcpu_run") -> list[int]:
    """Of each run, the instructions with which the vCPU's thread dirtied the pages
    that were protected; name is the figure of its calls."""
    calls = figures.get(name, [])
    size = DIRTY_ROUNDS + 1
    if not calls or len(calls) % size:
        raise LabError(f"{len(calls)} calls of KVM_RUN are no whole runs of {size}")
    return [sum(calls[first + NOT_PROTECTED:first + size]) for first in range(0, len(calls), size)]


def overhead(stock: Sequence[int], ours: Sequence[int]) -> float:
    """By how much the medians differ, as a fraction."""
    return statistics.median(ours) / statistics.median(stock) - 1


def per_dirtied_page(runs: Sequence[int]) -> float:
    """Instructions for one write to one protected page."""
    return statistics.median(runs) / (DIRTY_PAGES * (DIRTY_ROUNDS + 1 - NOT_PROTECTED))


def start_over_stock(figures: Figures) -> Optional[dict[str, float]]:
    """ARM with candidates at a migration's start beside what stock has there, CLEAR of all pages."""
    if "arm_start_4k" not in figures:
        return None
    return {kind: median(figures, f"arm_start_{kind}") / median(figures, f"clear_{kind}_all") for kind in PAGE_KINDS}


def by_size(figures: Figures, name: str, whole: bool) -> dict[str, float]:
    """Of each size of memory, the figure for one GiB; whole if it was taken of all of it."""
    return {str(gib): median(figures, f"{name}_{gib}_gib") / (gib if whole else 1) for gib in SIZES_GIB}


def summarise(costs: Figures, stock: Figures, ours: Figures) -> dict[str, Any]:
    """All results, with what they were made of."""
    check_clock(costs)
    pages = median(costs, "pages")
    dirty = {"stock": dirtying(stock), "never_armed": dirtying(ours), "armed": dirtying(ours, "armed_vcpu_run")}
    medians = {name: statistics.median(values) for name, values in costs.items()}
    return {
        "arm_over_clear": {state: over_clear(costs, state) for state in STATES},
        "arm_candidates_over_clear": over_clear(costs, "candidates") if "arm_candidates" in costs else None,
        "arm_start_over_stock": start_over_stock(costs),
        "arm_first_insn_per_gib": by_size(costs, "arm_first", True),
        "arm_insn_per_gib": by_size(costs, "arm", True),
        "set_insn_per_gib": by_size(costs, "set", False),
        "t_bytes_per_gib": by_size(costs, "t_bytes", True)[str(SIZES_GIB[-1])],
        "set_insn_per_page": median(costs, "set_filtered") / pages,
        "hook_overhead": overhead(dirty["stock"], dirty["armed"]),
        "hook_never_armed": overhead(dirty["stock"], dirty["never_armed"]),
        "set_insn_per_page_clean": median(costs, "set_clean") / pages,
        "hook_overhead_whole_run": overhead(stock.get("whole_run", []), ours.get("whole_run", [])),
        "insn_per_dirtied_page": {name: per_dirtied_page(runs) for name, runs in dirty.items()},
        "goals": {"arm_over_clear": ARM_GOAL, "arm_candidates_over_clear": ARM_GOAL,
                  "hook_overhead": HOOK_GOAL, "hook_never_armed": NEVER_ARMED_GOAL},
        "repeats": len(costs["arm_4k_all"]),
        "runs": {name: len(runs) for name, runs in dirty.items()},
        "medians": medians,
        "counts": {"costs": costs, "stock": stock, "ours": ours},
        "dirtying": dirty,
    }


def rows_of(result: Mapping[str, Any]) -> list[Row]:
    """The lines of the table."""
    medians = result["medians"]

    def counts(state: str) -> str:
        return f"{medians[f'arm_{state}']:.0f} / {medians[f'clear_{state}']:.0f}"

    rows = [Row(f"arm_over_clear {state}", result["arm_over_clear"][state], ARM_GOAL, counts(state))
            for state in STATES]
    candidates = result["arm_candidates_over_clear"]
    rows.append(Row("arm_candidates_over_clear", candidates, ARM_GOAL,
                    "this KVM takes none" if candidates is None else counts("candidates")))
    for kind in PAGE_KINDS:
        start = result["arm_start_over_stock"]
        rows.append(Row(f"arm_start_over_stock {kind}", start and start[kind], None,
                        "this KVM takes none" if start is None else
                        f"{medians[f'arm_start_{kind}']:.0f} / {medians[f'clear_{kind}_all']:.0f}"))
    pages = f"{medians['pages']:.0f} pages"
    rows.append(Row("set_insn_per_page", result["set_insn_per_page"], None,
                    f"{pages}, all filtered: {medians['set_filtered']:.0f}"))
    rows.append(Row("set_insn_per_page_clean", result["set_insn_per_page_clean"], None,
                    f"{pages}, none dirty: {medians['set_clean']:.0f}"))
    each = result["insn_per_dirtied_page"]
    rows.append(Row("hook_overhead", result["hook_overhead"], HOOK_GOAL,
                    f"{each['armed']:.1f} / {each['stock']:.1f} for each page dirtied"))
    rows.append(Row("hook_never_armed", result["hook_never_armed"], NEVER_ARMED_GOAL,
                    f"{each['never_armed']:.1f} / {each['stock']:.1f} for each page dirtied"))
    for name in ("arm_first_insn_per_gib", "arm_insn_per_gib", "set_insn_per_gib"):
        rows.append(Row(name, result[name][str(SIZES_GIB[-1])], None, "of a GiB, where there are " + ", ".join(
            f"{gib}: {value:.0f}" for gib, value in result[name].items())))
    rows.append(Row("t_bytes_per_gib", result["t_bytes_per_gib"], None, "not instructions"))
    rows.append(Row("hook_overhead_whole_run", result["hook_overhead_whole_run"], None,
                    "two threads in slices of 4 ms: coarse"))
    return rows


def missed(rows: Sequence[Row]) -> list[str]:
    """The names of the goals that were not reached, or not measured."""
    return [row.name for row in rows if row.goal is not None and row.verdict() != "yes"]


def format_table(rows: Sequence[Row]) -> str:
    """The rows as text."""
    lines = [["figure", "value", "goal", "reached", "instructions"]]
    for row in rows:
        lines.append([row.name, "-" if row.value is None else f"{row.value:.4f}",
                      "-" if row.goal is None else f"<= {row.goal:g}", row.verdict(), row.how])
    widths = [max(len(line[column]) for line in lines) for column in range(5)]
    return "\n".join(
        "  ".join(cell.rjust(width) if column in (1, 2) else cell.ljust(width)
                  for column, (cell, width) in enumerate(zip(line, widths))).rstrip()
        for line in lines)


def picture_script(result: Mapping[str, Any]) -> str:
    """What gnuplot has to do: ARM and CLEAR in instructions for each page of the slot."""
    medians = result["medians"]
    states = [*STATES, *(["candidates"] if result["arm_candidates_over_clear"] is not None else [])]
    lines = [f'"{state.replace("_", " ")}" ' + " ".join(
        f"{medians[f'{name}_{state}'] / medians['pages']:.3f}" for name in ("clear", "arm")) for state in states]
    return "\n".join([
        "set terminal svg size 820,460 font 'sans-serif,13' background '#ffffff'",
        'set title "Instructions for each page of the memslot"',
        "set style data histograms", "set style histogram clustered gap 1",
        "set style fill solid 1 noborder", "set boxwidth 0.9",
        'set ylabel "instructions (logarithmic)"', "set logscale y", "set yrange [0.1:1000]",
        "set grid ytics linecolor rgb '#dddddd'", "set border 3", "set tics nomirror",
        "set key outside bottom center horizontal",
        "$data << END", *lines, "END",
        'plot $data using 2:xtic(1) title "KVM\\\\_CLEAR\\\\_DIRTY\\\\_LOG" linecolor rgb "#9a9a9a", '
        '$data using 3 title "KVM\\\\_FPR\\\\_ARM" linecolor rgb "#2a78b0"', ""])


def write_result(result: Mapping[str, Any], directory: Path) -> None:
    """Write bench.json and bench.svg."""
    write_atomically(directory / "bench.json", json.dumps(result, indent=1) + "\n")
    write_atomically(directory / "bench.svg", run_gnuplot(picture_script(result)))


def run_lab(kvm: str, command: Sequence[str], options: Sequence[str] = ("--memory", "2048")) -> Figures:
    """The figures of one boot of the lab's host."""
    result = subprocess.run(
        [TOP / "lab/run", "--icount", "--kvm", kvm, *options, "--timeout", str(TIMEOUT), "--", *command],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace", check=False)
    if result.returncode:
        raise LabError(f"the lab ended with status {result.returncode}: {' '.join(result.stdout.split()[-30:])}")
    return parse_figures(result.stdout)


def merge(parts: Sequence[Figures]) -> Figures:
    """The figures of several boots, in their order."""
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: [value for part in parts for value in part.get(name, [])] for name in names}


def measure(show: Show) -> dict[str, Any]:
    """All measurements, stock and ours in turn."""
    for script in ("scripts/fetch-kernel", "scripts/build-modules", "scripts/build-qemu"):
        built(script)
    selftests = built("scripts/build-selftests")
    (TOP / "out").mkdir(exist_ok=True)  # the one directory that L1 may write to

    show("ARM, CLEAR and SET_BITMAP ...")
    costs = run_lab("modules", [str(selftests / "fpr_bench")])
    show("ARM and SET_BITMAP by the size of the memory ...")
    costs.update(run_lab("modules", [str(selftests / "fpr_bench_size")], SIZES_OPTIONS))
    run = f"{selftests}/fpr_dirty_cost -b {DIRTY_MIB}M -v 1 -i {DIRTY_ROUNDS}"
    armed = f"FPR_ARM=1 {run} | sed -E 's/^(vcpu_run|whole_run)=/armed_&/'"
    dirty_cost = {kvm: "set -o pipefail; " + "; ".join(
        f"{command} || exit" for command in commands for _ in range(RUNS_OF_A_BOOT))
                  for kvm, commands in {"stock": [run], "modules": [run, armed]}.items()}
    parts: dict[str, list[Figures]] = {"stock": [], "modules": []}
    for boot in range(BOOTS):
        for kvm, figures in parts.items():
            show(f"dirtying with {kvm}, boot {boot + 1} of {BOOTS} ...")
            figures.append(run_lab(kvm, ["bash", "-c", dirty_cost[kvm]]))
    return summarise(costs, merge(parts["stock"]), merge(parts["modules"]))
