# SPDX-License-Identifier: GPL-2.0-only
"""The project's TAP writer in Python, and a runner of a file's test functions."""

import concurrent.futures
import os
import re
import sys
import traceback
from collections.abc import Callable
from typing import NamedTuple, NoReturn, Optional


def comment(text: object) -> None:
    """Something for a person, as comments, at once."""
    print("\n".join(f"# {line}" for line in str(text).splitlines()), flush=True)


class Tap:
    """Prints results as they come, numbers and counts them. Without a plan, that comes in the end."""

    def __init__(self, planned: Optional[int] = None) -> None:
        self._planned = planned
        self.passed = self.failed = self.skipped = 0
        if planned is not None:
            self._plan(planned)

    @staticmethod
    def _plan(planned: int) -> None:
        print(f"1..{planned}", flush=True)

    def _number(self) -> int:
        return self.passed + self.failed + self.skipped

    def result(self, good: bool, name: str) -> None:
        """Print a result that passed or failed."""
        self.passed += good
        self.failed += not good
        print(f"{'ok' if good else 'not ok'} {self._number()} - {name}", flush=True)

    def skip(self, name: str, why: str) -> None:
        """Print a result that cannot be had here."""
        self.skipped += 1
        print(f"ok {self._number()} - {name} # SKIP {why}", flush=True)

    def pass_on(self, prefix: str, output: str, indent: str = "") -> int:
        """Print another program's results as ours; returns how many there were."""
        before = self._number()
        for line in output.splitlines():
            if match := re.match(rf"{indent}(not ok|ok) \d+ (?:- )?(.*)", line):
                self.result(match[1] == "ok", f"{prefix}: {match[2]}")
            elif not re.match(r" *(1\.\.\d|K?TAP version)", line):
                comment(line.removeprefix("# "))
        return self._number() - before

    def end(self, count: bool = False) -> int:
        """End the output; returns the exit status. With count, the last line says how many passed."""
        if self._planned is None:
            self._plan(self._number())
        if count:
            print(f"{self.passed} passed, {self.failed} failed")
        return 1 if self.failed else 0


class Skip(Exception):
    """Raised by a test that cannot run here; its text is the reason."""


class Outcome(NamedTuple):
    """How a test function ended: it passed where both are empty."""

    skipped: str = ""
    failed: str = ""


def _outcome(test: Callable[[], None]) -> Outcome:
    """Run one test."""
    try:
        test()
    except Skip as reason:
        return Outcome(skipped=str(reason) or "it does not say why")
    except Exception:  # pylint: disable=broad-except
        return Outcome(failed=traceback.format_exc())
    return Outcome()


def run_tests(namespace: dict[str, object], count: bool = False, jobs: int = 1) -> None:
    """Run every test_* function of a module, or those in TAP_ONLY, in order, and exit; jobs run at a time."""
    only = os.environ.get("TAP_ONLY", "").split()
    tests = [value for name, value in namespace.items()
             if name.startswith("test_") and callable(value) and (not only or name in only)]
    tap = Tap(len(tests))
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        outcomes = pool.map(_outcome, tests) if jobs > 1 else map(_outcome, tests)
        for test, outcome in zip(tests, outcomes):
            name = (test.__doc__ or test.__name__).strip().rstrip(".")
            if outcome.skipped:
                tap.skip(name, outcome.skipped)
                continue
            if outcome.failed:
                comment(outcome.failed)
            tap.result(not outcome.failed, name)
    sys.exit(tap.end(count))


def skip_all(reason: str, count: bool = False) -> NoReturn:
    """Say that nothing of this file can run here, and exit; with count as Tap.end() has it."""
    print(f"1..0 # SKIP {reason}", flush=True)
    if count:
        print("0 passed, 0 failed, 1 skipped")
    sys.exit(0)


def check(condition: bool, what: object) -> None:
    """Fail the test, showing what was there instead."""
    if not condition:
        raise AssertionError(what)


def check_equal(got: object, want: object) -> None:
    """Fail the test unless both are equal."""
    check(got == want, f"got {got!r}, want {want!r}")
