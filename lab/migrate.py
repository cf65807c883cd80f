#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Migrate lab guests between two QEMUs on this machine and measure it.

One line "result JSON" on stdout for each run; progress goes to stderr. lab/demo runs
this inside the lab's machine, where KVM is; --accel tcg works anywhere.
"""

import argparse
import contextlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Callable, Iterator, Optional

sys.dont_write_bytecode = True  # the checkout stays as it is

# pylint: disable=wrong-import-position
from fprlab import DEVICE_WORKLOADS, MODES, RACE_WORKLOAD, WORKLOADS, LabError, race  # noqa: E402
from fprlab.agent import BEHAVIOURS  # noqa: E402
from fprlab.features import check_combination  # noqa: E402
from fprlab.machine import Emulator  # noqa: E402
from fprlab.migration import Run, migrate  # noqa: E402
from fprlab.registry import ALL_FEATURES  # noqa: E402
from fprlab.relay import RELAYS  # noqa: E402
from fprlab.staying import migrate_and_stay  # noqa: E402

AGENTS = (*BEHAVIOURS, *RELAYS)
LOGS = ("stderr", "console")
LAST_LINES = 15
# Where the header of a kernel says where its version is, from BOOT_SECTOR on.
KERNEL_VERSION = 0x20E
BOOT_SECTOR = 0x200


def say(text: str) -> None:
    """A whole line of progress, which may share a channel with results."""
    print(text, file=sys.stderr, flush=True)


def names(known: tuple[str, ...]) -> Callable[[str], list[str]]:
    """The type of an option that takes a list of names."""

    def parse(text: str) -> list[str]:
        chosen = text.replace(",", " ").split()
        for name in chosen:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(known)}")
        return chosen

    return parse


def positive(text: str) -> int:
    """The type of an option that counts something."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return int(text)


def case(text: str) -> tuple[str, str, list[str]]:
    """The type of an option that names a run: a workload, a mode and features."""
    workload, mode, features = (*text.split(":"), "", "")[:3]
    for chosen, known in ((workload, WORKLOADS + DEVICE_WORKLOADS), (mode, MODES)):
        if chosen not in known:
            raise argparse.ArgumentTypeError(f"{chosen!r} is none of {', '.join(known)}")
    return workload, mode, names(tuple(ALL_FEATURES))(features.replace("+", " "))


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--workload", type=names((*WORKLOADS, RACE_WORKLOAD)), default=["idle"], metavar="NAME,...")
    parser.add_argument("--mode", type=names(MODES), default=["plain"], metavar="NAME,...")
    parser.add_argument("--repeat", type=positive, default=1, metavar="N")
    parser.add_argument("--guest-mib", type=positive, default=1024, metavar="MIB")
    parser.add_argument("--guest", type=Path, required=True, metavar="DIR",
                        help="what lab/build-guest prints")
    parser.add_argument("--append", default="", metavar="TEXT",
                        help="more for the guest's kernel command line")
    parser.add_argument("--report", default="", metavar="KEY=VALUE,...",
                        help="more properties of QEMU's free-page-report")
    parser.add_argument("--qemu", default="qemu-system-x86_64", metavar="FILE")
    parser.add_argument("--fprctl", default="fprctl", metavar="FILE", help="for the mode pagemap")
    parser.add_argument("--firmware", metavar="DIR", help="QEMU's -L")
    parser.add_argument("--accel", choices=("kvm", "tcg"), default="kvm")
    parser.add_argument("--bandwidth", type=positive, default=0, metavar="MIB",
                        help="cap in MiB a second (default: none)")
    parser.add_argument("--timeout", type=positive, default=180, metavar="S",
                        help="limit for each run that makes no progress (default: 180)")
    parser.add_argument("--expect-stock", action="store_true",
                        help="the kernel has no filter: filter-hint must warn and do without")
    parser.add_argument("--agent", type=names(AGENTS), default=[""], metavar="NAME,...",
                        help="with the mode filter-report: one that reports what it should not, "
                             f"or how it should not, in the place of the guest's own ({', '.join(AGENTS)})")
    parser.add_argument("--race", choices=tuple(race.KINDS),
                        help="clear KVM's log in small chunks, and take hints as ever or let them wait: the mode "
                             "hint may then lose pages, which is no failure")
    parser.add_argument("--feature", type=names(tuple(ALL_FEATURES)), default=[], metavar="NAME,...",
                        help=f"migrate with all of these ({', '.join(ALL_FEATURES)})")
    parser.add_argument("--case", type=case, action="append", default=[], metavar="WORKLOAD:MODE[:FEATURE+...]",
                        help="one run, in the place of those that the options above choose; may be repeated")
    parser.add_argument("--logs", type=Path, metavar="DIR", help="keep the logs of failed runs")
    return parser.parse_args()


def planned_runs(args: argparse.Namespace) -> list[Run]:
    """All repeats, in an order in which a machine's slow minute hits every mode."""
    chosen = [(*one, args.feature) for one in itertools.product(
        range(1, args.repeat + 1), args.workload, args.mode, args.agent)]
    chosen = [(1, workload, mode, "", features) for workload, mode, features in args.case] or chosen
    return [Run(workload, mode, repeat, args.bandwidth << 20, args.timeout, args.expect_stock,
                f"run {number} of {len(chosen)}: {', '.join(filter(None, (workload, mode, agent, *features)))}",
                agent, tuple(ALL_FEATURES[name] for name in features) + race.KINDS.get(args.race, ()),
                may_lose=bool(args.race))
            for number, (repeat, workload, mode, agent, features) in enumerate(chosen, 1)]


def show_logs(run: Run, directory: Path, keep: Optional[Path]) -> None:
    """The last lines of every log that has any, and copies if they are wanted."""
    for log in sorted(path for name in LOGS for path in directory.glob(f"*/{name}")):
        lines = log.read_text(errors="replace").splitlines()
        if lines:
            say(f"--- last lines of the {log.parent.name}'s {log.name}")
        for line in lines[-LAST_LINES:]:
            say(line)
        if keep:
            target = keep / f"{run.workload}-{run.mode}-{run.repeat}-{log.parent.name}-{log.name}"
            keep.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(log, target)


@contextlib.contextmanager
def scratch_directory() -> Iterator[Path]:
    """Sockets, logs and traces of one run; unix sockets want a short path."""
    with tempfile.TemporaryDirectory(prefix="fpr-") as name:
        yield Path(name)


def measure(run: Run, emulator: Emulator, keep: Optional[Path]) -> dict[str, Any]:
    """The result of one run, failed or not."""
    with scratch_directory() as directory:
        try:
            return (migrate_and_stay if run.stays() else migrate)(run, emulator, directory, say)
        except (LabError, OSError) as error:
            say(f"{run.label}: FAILED: {error}")
            show_logs(run, directory, keep)
            return {"workload": run.workload, "mode": run.mode, "repeat": run.repeat,
                    "features": [feature.name for feature in run.features],
                    "verified": False, "error": str(error)}


def check_machine(args: argparse.Namespace) -> None:
    """What would fail in every run is said before the first."""
    for run in planned_runs(args):
        check_combination(run.features)
        if run.mode == "pagemap" and run.features:
            raise LabError("the mode pagemap is for migrations without features")
    if not (args.guest / "vmlinuz").exists():
        raise LabError(f"no guest in {args.guest}: give the directory that lab/build-guest prints")
    if not shutil.which(args.qemu):
        raise LabError(f"no {args.qemu}: give the QEMU that scripts/build-qemu made with --qemu")
    if args.accel == "kvm" and not os.access("/dev/kvm", os.R_OK | os.W_OK):
        raise LabError("no usable /dev/kvm: run it in the lab (lab/run), or with --accel tcg")


def kernel_release(image: Path) -> str:
    """Of a bzImage (the kernel's Documentation/arch/x86/boot.rst: kernel_version)."""
    with image.open("rb") as file:
        file.seek(KERNEL_VERSION)
        file.seek(int.from_bytes(file.read(2), "little") + BOOT_SECTOR)
        return file.read(128).split(b" ")[0].decode()


def say_versions(args: argparse.Namespace) -> None:
    """What the guests are migrated with, as scripts/compatibility reads it."""
    version = subprocess.run([args.qemu, "--version"], capture_output=True, text=True, check=True).stdout.split()[3]
    kvm = "stock" if args.expect_stock else "filter"
    say(f"with: host Linux {os.uname().release} ({kvm}), QEMU {version}, "
        f"guest Linux {kernel_release(args.guest / 'vmlinuz')}")


def main() -> int:
    """0 if every run was verified, or may lose pages."""
    args = parse_arguments()
    try:
        check_machine(args)
        say_versions(args)
    except LabError as error:
        say(f"migrate.py: {error}")
        return 2
    emulator = Emulator(args.qemu, args.firmware, args.accel, args.guest, args.guest_mib,
                        args.append, report=args.report, fprctl=args.fprctl)
    failed = 0
    for run in planned_runs(args):
        result = measure(run, emulator, args.logs)
        failed += "error" in result
        print("result", json.dumps(result), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
