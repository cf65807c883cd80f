# SPDX-License-Identifier: GPL-2.0-only
"""Finds the built programs and runs fprctl."""

import functools
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from fprlab.common.tap import check, check_equal

TOP = Path(__file__).resolve().parents[2]

Result = subprocess.CompletedProcess[bytes]

# Ignored in a shell's background job, and what is started there inherits that.
for ignored in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
    if signal.getsignal(ignored) == signal.SIG_IGN:
        signal.signal(ignored, signal.SIG_DFL)


@functools.cache
def build_dir() -> Path:
    """The first argument of the test, or what scripts/build-userspace builds."""
    if len(sys.argv) > 1:
        return Path(sys.argv[1])
    script = TOP / "scripts" / "build-userspace"
    done = subprocess.run([script], check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{script} failed: where it cannot build, as in the lab, give the "
                 "directory that it prints as an argument")
    return Path(done.stdout.splitlines()[-1])


def command(program: str, *args: object) -> list[str]:
    """Command line of a built program, below FPRCTL_WRAPPER (valgrind) if set."""
    wrapper = shlex.split(os.environ.get("FPRCTL_WRAPPER", ""))
    return [*wrapper, str(build_dir() / program), *map(str, args)]


def fprctl(*args: object, fds: Iterable[int] = (), stdin: object = subprocess.DEVNULL,
           **options: object) -> Result:
    """Run the static fprctl."""
    return subprocess.run(command("fprctl", *args), pass_fds=tuple(fds), stdin=stdin,
                          capture_output=True, timeout=120, check=False, **options)


def shim_environment(shim: Mapping[str, object]) -> dict[str, str]:
    """The environment in which fprctl-dynamic meets the shim's ioctls."""
    return {**os.environ, "LD_PRELOAD": str(build_dir() / "ioctl_shim.so"),
            **{f"SHIM_{name}": str(value) for name, value in shim.items()}}


def shimmed(*args: object, fds: Iterable[int] = (), stdin: object = subprocess.DEVNULL,
            cwd: Path | None = None, **shim: object) -> Result:
    """Run fprctl with the shim; the keywords are what tests/ioctl_shim.c says."""
    return subprocess.run(command("fprctl-dynamic", *args), pass_fds=tuple(fds),
                          stdin=stdin, cwd=cwd, capture_output=True, timeout=120,
                          check=False, env=shim_environment(shim))


def said(stderr: bytes) -> str:
    """Stderr without the lines that say what takes long, for that depends on how busy the machine is."""
    return "".join(line for line in stderr.decode().splitlines(keepends=True) if ": waiting for " not in line)


def check_error(result: Result, status: int, *words: str) -> None:
    """It failed with that status, one line on stderr with these words, and no more."""
    text = said(result.stderr)
    check(result.returncode == status, (result.returncode, text))
    check(text.count("\n") == 1 and text.endswith("\n"), text)
    check_equal(result.stdout, b"")
    check(text.startswith("fprctl"), text)
    for word in words:
        check(word in text, f"no {word!r} in {text!r}")


def check_json(result: Result) -> dict[str, int]:
    """It succeeded; its stdout is one JSON object, which is returned."""
    check_equal((result.returncode, said(result.stderr)), (0, ""))
    return json.loads(result.stdout)
