#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Migrate one guest after the other back and forth between two hosts on this machine.

Runs in the lab's machine. One line "result JSON" on stdout for each migration. What is
kept of the first that went wrong is in DIR of --keep: its logs and the choices that led
there.
"""

import argparse
import contextlib
import dataclasses
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.dont_write_bytecode = True  # the checkout stays as it is

# pylint: disable=wrong-import-position
from fprlab import LabError, LostPages  # noqa: E402
from fprlab.journey import Journey  # noqa: E402
from fprlab.machine import Emulator  # noqa: E402
from fprlab.network import Network  # noqa: E402
from fprlab.session import RESULT  # noqa: E402
from fprlab.soak import Traveller, choices, choose_guest, choose_leg  # noqa: E402


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=int, required=True, metavar="S", help="begin nothing new after so long")
    parser.add_argument("--seed", type=int, required=True, metavar="N", help="determines all choices, but no timing")
    parser.add_argument("--guest", type=Path, required=True, metavar="DIR", help="what lab/build-guest prints")
    parser.add_argument("--qemu", type=Path, required=True, metavar="DIR", help="what scripts/build-qemu prints")
    parser.add_argument("--keep", type=Path, required=True, metavar="DIR")
    return parser.parse_args()


class Soak:
    """One guest after the other, until the time is over."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self._start = time.monotonic()
        self._emulator = Emulator(str(args.qemu / "qemu-system-x86_64"), str(args.qemu / "pc-bios"), "kvm",
                                  args.guest, 0)
        self.wrong = 0

    def _elapsed(self) -> float:
        return time.monotonic() - self._start

    def run(self) -> None:
        """All guests."""
        number = 0
        while self._elapsed() < self._args.seconds:
            number += 1
            self._travel(choose_guest(self._args.seed, number))

    def _travel(self, guest: Traveller) -> None:
        """One guest's life; what goes wrong ends it."""
        said: list[str] = []
        story: list[dict[str, Any]] = []
        emulator = dataclasses.replace(self._emulator, guest_mib=guest.mib)
        with tempfile.TemporaryDirectory(prefix="fpr-") as name, Network() as network, \
                contextlib.ExitStack() as stack:
            for feature in guest.features:
                stack.enter_context(feature.around(Path(name), guest.mib))
            journey = Journey(guest.run(), emulator, network, Path(name), said.append)
            try:
                for hop in range(1, guest.hops + 1):
                    if self._elapsed() >= self._args.seconds:
                        break
                    story.append(self._hop(journey, guest, hop))
                    if not story[-1]["verified"]:
                        self._keep(Path(name), said, story)
                        break
            finally:
                journey.end()

    def _hop(self, journey: Journey, guest: Traveller, hop: int) -> dict[str, Any]:
        """The guest's start, if it is its first, and a migration."""
        leg = choose_leg(self._args.seed, guest, hop)
        result = choices(guest, hop, leg)
        try:
            if not journey.machine:
                journey.start()
            result |= {"verified": True, **journey.migrate(leg)}
        except (LabError, OSError) as error:
            result |= {"verified": False, "error": journey.explain(error),
                       "lost_pages": error.pages if isinstance(error, LostPages) else 0}
        result["seconds"] = round(self._elapsed(), 1)
        print(RESULT + json.dumps(result), flush=True)
        return result

    def _keep(self, directory: Path, said: list[str], story: list[dict[str, Any]]) -> None:
        """The first that went wrong, as it was left."""
        self.wrong += 1
        if self._args.keep.exists():
            return
        self._args.keep.mkdir(parents=True)
        for log in sorted(directory.glob("qemu*/*")):
            if log.is_file():
                shutil.copyfile(log, self._args.keep / f"{log.parent.name}-{log.name}")
        text = "".join(f"{line}\n" for line in [f"seed {self._args.seed}", *map(json.dumps, story), *said])
        (self._args.keep / "story").write_text(text, encoding="utf-8")


def main() -> int:
    """0 if all memory was verified after every migration."""
    soak = Soak(parse_arguments())
    soak.run()
    return int(soak.wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
