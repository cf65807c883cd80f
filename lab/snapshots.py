#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Take snapshots of lab guests on this machine, with and without the filter, and verify them.

One line "result JSON" on stdout for each run; progress goes to stderr. lab/snapshot runs
this inside the lab's machine, where KVM is.
"""

import argparse
import itertools
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.dont_write_bytecode = True  # the checkout stays as it is

# pylint: disable=wrong-import-position
from fprlab import LabError  # noqa: E402
from fprlab.snapshots import Plan, Tools, run_plan  # noqa: E402

LAST_LINES = 15


def say(text: str) -> None:
    """A whole line of progress, which may share a channel with results."""
    print(text, file=sys.stderr, flush=True)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--workload", default="idle", metavar="NAME,...")
    parser.add_argument("--repeat", type=int, default=1, metavar="N")
    parser.add_argument("--guest-mib", type=int, default=256, metavar="MIB")
    parser.add_argument("--timeout", type=int, default=Plan.timeout, metavar="S",
                        help=f"limit for each run that makes no progress (default: {Plan.timeout})")
    for name, script in (("examples", "scripts/build-examples"), ("fprctl", "scripts/build-userspace"),
                         ("guest", "lab/build-guest")):
        parser.add_argument(f"--{name}", type=Path, required=True, metavar="DIR", help=f"what {script} prints")
    return parser.parse_args()


def show_logs(directory: Path) -> None:
    """The last lines of every log that has any."""
    for log in sorted(directory.glob("*/console")) + sorted(directory.glob("*/stderr")):
        lines = log.read_text(errors="replace").splitlines()
        if lines:
            say(f"--- last lines of the {log.parent.name}'s {log.name}")
        for line in lines[-LAST_LINES:]:
            say(line)


def measure(plan: Plan, tools: Tools) -> dict[str, Any]:
    """The result of one run, failed or not."""
    with tempfile.TemporaryDirectory(prefix="fpr-") as name:
        try:
            return run_plan(plan, tools, Path(name), say)
        except (LabError, OSError) as error:
            say(f"{plan.label()}: FAILED: {error}")
            show_logs(Path(name))
            return {"workload": plan.workload, "repeat": plan.repeat, "filtered": plan.filtered, "verified": False, "error": str(error)}


def main() -> int:
    """0 if every run was verified."""
    args = parse_arguments()
    tools = Tools(args.examples, args.fprctl, args.guest)
    failed = 0
    for repeat, workload, filtered in itertools.product(
            range(1, args.repeat + 1), args.workload.split(","), (False, True)):
        result = measure(Plan(workload, filtered, args.guest_mib, repeat, timeout=args.timeout), tools)
        failed += "error" in result
        print("result", json.dumps(result), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
