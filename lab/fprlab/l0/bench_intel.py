# SPDX-License-Identifier: GPL-2.0-only
"""What the filter costs on an Intel host (L1) in Bochs, in instructions as Bochs counts them."""

import dataclasses
import json
import subprocess
from pathlib import Path
from typing import Any, Mapping, Optional, Sequence

from ..common.errors import LabError
from ..common.names import TOP
from .bench import (DIRTY_MIB, DIRTY_ROUNDS, PAGE_KINDS, STATES, Figures, Show, check_clock, dirtying, median, over_clear,
                    overhead, parse_figures, per_dirtied_page)
from .result_table import write_atomically
from .session import built

MIPS = 1000  # an instruction is a nanosecond
# To read the clock takes 1,800 of them there, which all figures have in them.
CLOCK_TOLERANCE = 0.003
REPEATS = 3
TIMEOUT = 1800


@dataclasses.dataclass(frozen=True)
class Way:
    """A way in which KVM keeps page tables, and notices writes, on Intel's processors."""

    name: str
    parameters: Sequence[str]
    huge: bool = True  # the guest's own page tables have small ones only, which shadow paging follows


WAYS = (
    Way("pml=1", ()),
    Way("pml=0", ("--append", "kvm_intel.pml=0")),
    Way("ept=0", ("--append", "kvm_intel.ept=0"), huge=False),
)


def run_lab(way: Way, kvm: str, command: Sequence[str]) -> Figures:
    """The figures of one boot."""
    result = subprocess.run(
        [TOP / "lab/run", "--host", "intel", "--cpus", "1", "--mips", str(MIPS), "--kvm", kvm, *way.parameters,
         "--timeout", str(TIMEOUT), "--", *command],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace", check=False)
    if result.returncode:
        raise LabError(f"the lab ended with status {result.returncode}: {' '.join(result.stdout.split()[-30:])}")
    return parse_figures(result.stdout)


def measure_way(way: Way, selftests: Path, show: Show) -> dict[str, Any]:
    """The figures of one way, and what they were made of."""
    show(f"{way.name}: ARM, CLEAR and SET_BITMAP ...")
    costs = run_lab(way, "modules",
                    [str(selftests / "fpr_bench"), "-r", str(REPEATS), *([] if way.huge else ["-s"])])
    check_clock(costs, CLOCK_TOLERANCE)
    # The program is the script's $0, as L1 gets what the command's words name.
    run = f'"$0" -b {DIRTY_MIB}M -v 1 -i {DIRTY_ROUNDS}'
    armed = f"FPR_ARM=1 {run} | sed -E 's/^(vcpu_run|whole_run)=/armed_&/'"
    figures = {}
    for kvm, script in {"stock": run, "modules": f"{run} && {armed}"}.items():
        show(f"{way.name}: dirtying with {kvm} ...")
        figures[kvm] = run_lab(way, kvm, ["bash", "-c", f"set -o pipefail; {script}", str(selftests / "fpr_dirty_cost")])
    return summarise(costs, figures["stock"], figures["modules"])


def summarise(costs: Figures, stock: Figures, ours: Figures) -> dict[str, Any]:
    """All results of one way."""
    pages = median(costs, "pages")
    dirty = {"stock": dirtying(stock), "never_armed": dirtying(ours), "armed": dirtying(ours, "armed_vcpu_run")}
    states = [state for state in STATES if f"arm_{state}" in costs]
    return {
        "arm_over_clear": {state: over_clear(costs, state) for state in states},
        "arm_candidates_over_clear": over_clear(costs, "candidates"),
        "arm_start_over_stock": {kind: median(costs, f"arm_start_{kind}") / median(costs, f"clear_{kind}_all")
                                 for kind in PAGE_KINDS if f"arm_start_{kind}" in costs},
        "set_insn_per_page": median(costs, "set_filtered") / pages,
        "set_insn_per_page_clean": median(costs, "set_clean") / pages,
        "hook_overhead": overhead(dirty["stock"], dirty["armed"]),
        "hook_never_armed": overhead(dirty["stock"], dirty["never_armed"]),
        "insn_per_dirtied_page": {name: per_dirtied_page(runs) for name, runs in dirty.items()},
        "repeats": REPEATS,
        "counts": {"costs": costs, "stock": stock, "ours": ours},
    }


def measure(show: Show) -> dict[str, Any]:
    """All ways, one after the other."""
    for script in ("scripts/fetch-kernel", "scripts/build-modules", "scripts/build-bochs"):
        built(script)
    selftests = built("scripts/build-selftests")
    return {way.name: measure_way(way, selftests, show) for way in WAYS}


def rows_of(result: Mapping[str, Any]) -> list[tuple[str, list[Optional[float]]]]:
    """The lines of the table: a name, and a figure of each way."""
    def row(name: str, *keys: str) -> tuple[str, list[Optional[float]]]:
        values: list[Optional[float]] = []
        for figures in result.values():
            value = figures
            for key in keys:
                value = value.get(key) if value is not None else None
            values.append(value)  # type: ignore[arg-type]
        return name, values

    return [
        *(row(f"arm_over_clear {state}", "arm_over_clear", state) for state in STATES),
        row("arm_candidates_over_clear", "arm_candidates_over_clear"),
        *(row(f"arm_start_over_stock {kind}", "arm_start_over_stock", kind) for kind in PAGE_KINDS),
        *(row(name, name) for name in ("set_insn_per_page", "set_insn_per_page_clean", "hook_overhead",
                                       "hook_never_armed")),
        *(row(f"insn_per_dirtied_page {kvm}", "insn_per_dirtied_page", kvm)
          for kvm in ("stock", "never_armed", "armed")),
    ]


def format_table(result: Mapping[str, Any]) -> str:
    """The rows as text."""
    lines = [["figure", *result], *([name, *("-" if value is None else f"{value:.4f}" for value in values)]
                                    for name, values in rows_of(result))]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join("  ".join(cell.rjust(width) if column else cell.ljust(width)
                               for column, (cell, width) in enumerate(zip(line, widths))).rstrip() for line in lines)


def write_result(result: Mapping[str, Any], directory: Path) -> None:
    """Write bench-intel.json."""
    write_atomically(directory / "bench-intel.json", json.dumps(result, indent=1) + "\n")
