# SPDX-License-Identifier: GPL-2.0-only
"""Trees of /proc and /sys in text files, and what fprctl is to print of them.

A file has the tree, with comments (#), and then commands:

    file PATH           followed by its lines, each behind a tab
    words PATH          the same, where a NUL ends each line
    link PATH TARGET
    same PATH PATH      the first is a descriptor of the same file as the second
    hidden PATH         a directory or a link that may not be looked at
    empty PATH          a directory with nothing in it
    $ fprctl ...        followed by its output, as it is; lines of stderr behind "! ",
                        a status other than 0 behind "? "
"""

import os
import shlex
from pathlib import Path
from typing import NamedTuple


class Command(NamedTuple):
    """One command and what comes of it."""

    args: list[str]
    stdout: str
    stderr: str
    status: int


def _lines(path: Path) -> list[str]:
    lines = path.read_text().splitlines()
    tree = next((number for number, line in enumerate(lines) if line.startswith("$")), len(lines))
    return [line for line in lines[:tree] if not line.startswith("#")] + lines[tree:]


def make_tree(path: Path, root: Path) -> None:
    """Make what a file describes, below root."""
    place, end = root, "\n"
    for line in _lines(path):
        if line.startswith("$"):
            break
        if line.startswith("\t"):
            with place.open("a") as file:
                file.write(line[1:] + end)
            continue
        kind, name, *more = line.split(" ", 2)
        end = "\0" if kind == "words" else "\n"
        place = root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if kind == "link":
            place.symlink_to(more[0])
        elif kind == "same":
            os.link(root / more[0], place, follow_symlinks=False)
        elif kind == "empty":
            place.mkdir()
        elif kind in ("file", "words", "hidden"):
            place.touch()
        else:
            raise ValueError(f"{path}: {line}")


def commands(path: Path) -> list[Command]:
    """The commands of a file."""
    found = []
    for line in _lines(path):
        if line.startswith("$ fprctl "):
            found.append(Command(shlex.split(line)[2:], "", "", 0))
        elif found and line.startswith("! "):
            found[-1] = found[-1]._replace(stderr=found[-1].stderr + line[2:] + "\n")
        elif found and line.startswith("? "):
            found[-1] = found[-1]._replace(status=int(line[2:]))
        elif found:
            found[-1] = found[-1]._replace(stdout=found[-1].stdout + line + "\n")
    return found
