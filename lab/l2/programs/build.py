# SPDX-License-Identifier: GPL-2.0-only
"""A compiler (gcc) at work on a tree, sources of the guest's PID 1, again and again, two files at a time. Objects must be
the same each time."""

import hashlib
import itertools
import subprocess
from pathlib import Path

import program

TREE = Path("/programs/tree")
OBJECTS = Path("/tmp/objects")
JOBS = 2
COMMAND = ["/usr/bin/gcc", "-std=gnu11", "-O0", "-c", "-o"]


class Build:
    """The objects, and what they must be."""

    def __init__(self) -> None:
        self._sources = sorted(TREE.glob("guest_*.c"))
        self._next = itertools.cycle(self._sources)
        self._digests: dict[Path, bytes] = {}
        self._wrong = 0  # bytes, by all that was compiled
        OBJECTS.mkdir()
        for start in range(0, len(self._sources), JOBS):
            self._compile(self._sources[start:start + JOBS])

    @staticmethod
    def _object(source: Path) -> Path:
        return OBJECTS / f"{source.stem}.o"

    def _compile(self, sources: list[Path]) -> None:
        for compiler in [subprocess.Popen([*COMMAND, self._object(source), source]) for source in sources]:
            if compiler.wait():
                raise SystemExit("the compiler failed")
        for source in sources:
            self._look_at(source)

    def _look_at(self, source: Path) -> int:
        """The size of an object, after a look whether it is what it was the first time."""
        data = self._object(source).read_bytes()
        digest = hashlib.blake2b(data).digest()
        if self._digests.setdefault(source, digest) != digest:
            self._wrong += len(data)
        return len(data)

    def work(self) -> int:
        """Compile the next files."""
        self._compile([next(self._next) for _ in range(JOBS)])
        return JOBS

    def check(self) -> program.Check:
        """Look at all objects; what was wrong once stays wrong."""
        return sum(map(self._look_at, self._sources)), self._wrong


build = Build()
program.run(build.work, build.check)
