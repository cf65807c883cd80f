# SPDX-License-Identifier: GPL-2.0-only
"""Runs the test functions of a file and prints TAP."""

import os
import sys
import traceback
from collections.abc import Callable


class Skip(Exception):
    """Raised by a test that can not run here; its text is the reason."""


def _run_one(number: int, test: Callable[[], None]) -> bool:
    """Run one test and print its line; false if it failed."""
    name = f"{number} - {(test.__doc__ or test.__name__).strip().rstrip('.')}"
    try:
        test()
    except Skip as reason:
        print(f"ok {name} # SKIP {reason}", flush=True)
    except Exception:  # pylint: disable=broad-except
        for line in traceback.format_exc().splitlines():
            print(f"# {line}")
        print(f"not ok {name}", flush=True)
        return False
    else:
        print(f"ok {name}", flush=True)
    return True


def run_tests(namespace: dict[str, object], count: bool = False) -> None:
    """Run every test_* function of a module, or those in TAP_ONLY, in order, and exit.
    With count, the last line says how many passed, as that of scripts/check."""
    only = os.environ.get("TAP_ONLY", "").split()
    tests = [value for name, value in namespace.items()
             if name.startswith("test_") and callable(value) and (not only or name in only)]
    print(f"1..{len(tests)}", flush=True)
    results = [_run_one(i, test) for i, test in enumerate(tests, 1)]
    if count:
        print(f"{sum(results)} passed, {results.count(False)} failed")
    sys.exit(0 if all(results) else 1)


def skip_all(reason: str) -> None:
    """Say that nothing of this file can run here, and exit."""
    print(f"1..0 # SKIP {reason}", flush=True)
    sys.exit(0)


def check(condition: bool, what: object) -> None:
    """Fail the test, showing what was there instead."""
    if not condition:
        raise AssertionError(what)


def check_equal(got: object, want: object) -> None:
    """Fail the test unless both are equal."""
    check(got == want, f"got {got!r}, want {want!r}")
