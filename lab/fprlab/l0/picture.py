# SPDX-License-Identifier: GPL-2.0-only
"""Pictures, drawn by gnuplot; that of a report's rows."""

import subprocess
from pathlib import Path
from typing import Mapping, Sequence

from ..common.errors import LabError
from ..common.names import CONTROL_MODE
from .result_table import MIB, Result, write_atomically

COLOURS = {"plain": "#9a9a9a", "pagemap": "#b07aa1", "hint": "#e0a030", "filter-hint": "#2a78b0",
           "filter-report": "#2f9e63", CONTROL_MODE: "#8c6d4f"}


def data_lines(rows: Sequence[Result], modes: list[str]) -> list[str]:
    """A line for each workload: what each mode sent, and what the guest needed."""
    lines = []
    for workload in dict.fromkeys(row["workload"] for row in rows):
        mine = {row["mode"]: row for row in rows if row["workload"] == workload and row["verified"]}
        sent = [f"{mine[mode]['sent_bytes'] / MIB:.1f}" if mode in mine else "NaN" for mode in modes]
        needed = min((row["needed_bytes"] / MIB for row in mine.values()), default=float("nan"))
        lines.append(f'"{workload}" {" ".join(sent)} {needed:.1f}')
    return lines


def histogram(title: str, what: str, colours: Mapping[str, str], lines: Sequence[str],
              more: Sequence[str] = ()) -> str:
    """What gnuplot has to do; it draws to its standard output. A line has a cluster's name and the
    heights of its bars, whose names and colours are given; more is plotted over them."""
    bars = [f'$data using {column}:xtic(1) title "{name}" linecolor rgb "{colour}"'
            for column, (name, colour) in enumerate(colours.items(), 2)]
    return "\n".join([
        "set terminal svg size 820,460 font 'sans-serif,13' background '#ffffff'",
        f'set title "{title}"',
        "set style data histograms", "set style histogram clustered gap 1",
        "set style fill solid 1 noborder", "set boxwidth 0.9",
        f'set ylabel "{what}"', "set yrange [0:*]", "set grid ytics linecolor rgb '#dddddd'",
        "set border 3", "set tics nomirror", "set key outside bottom center horizontal",
        "$data << END", *lines, "END",
        "plot " + ", ".join([*bars, *more]), ""])


def script(rows: Sequence[Result], title: str) -> str:
    """The histogram of a demo's rows."""
    modes = list(dict.fromkeys(row["mode"] for row in rows))
    # Histograms have their clusters at 0, 1, 2, ...; the mark spans a cluster.
    needed = (f'$data using ($0-0.4):{len(modes) + 2}:(0.8):(0) with vectors nohead linewidth 2.5 '
              'dashtype 2 linecolor rgb "#c03030" title "needed by the guest"')
    return histogram(title, "sent, MiB", {mode: COLOURS[mode] for mode in modes}, data_lines(rows, modes), [needed])


def run_gnuplot(commands: str) -> str:
    """What gnuplot draws to its standard output."""
    try:
        result = subprocess.run(["gnuplot"], input=commands, text=True, capture_output=True, check=False)
    except OSError as error:
        raise LabError(f"cannot run gnuplot: {error.strerror} (scripts/install-packages installs it)") from None
    if result.returncode:
        raise LabError(f"gnuplot failed: {result.stderr.strip().splitlines()[-1:]}")
    return result.stdout


def draw(commands: str, output: Path) -> None:
    """Write the picture."""
    write_atomically(output, run_gnuplot(commands))
