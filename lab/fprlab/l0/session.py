# SPDX-License-Identifier: GPL-2.0-only
"""Running a plan's migrations in the lab's host (L1), in one boot of it."""

import dataclasses
import subprocess
from pathlib import Path
from typing import Any, Callable, Optional, Sequence

from ..common.errors import LabError
from ..common.names import TOP
from ..common.results import parse_result
from ..common.tap import comment, skip_all
from .plan import MigrationPlan

RUN_TIMEOUT = 240  # seconds for each migration, and for what makes no progress in it
PROGRAM_TIMEOUT = 900  # the same where guests have to start programs
BOOT_TIMEOUT = 120
HOST_MODULES = ("veth", "vhost_net", "vhost_vsock")
STATUS_NONE = 3  # a build script's exit status where its source cannot be had


@dataclasses.dataclass(frozen=True)
class Parts:
    """Directories with what has to be built first."""

    guest: Path
    qemu: Path
    userspace: Path


class NotToBeHad(LabError):
    """Debian does not have what a part is built from, or not any more."""


def built(script: str, *arguments: str) -> Path:
    """Run one of the project's build scripts, which prints a directory."""
    result = subprocess.run([TOP / script, *arguments], stdout=subprocess.PIPE, text=True, check=False)
    lines = result.stdout.splitlines()
    if result.returncode == STATUS_NONE:
        raise NotToBeHad(f"{' '.join((script, *arguments))}: its source is not to be had")
    if result.returncode or not lines:
        raise LabError(f"{script} failed")
    return Path(lines[-1])


def qemu_versions() -> list[str]:
    """The versions of QEMU that there are patches for, the default first."""
    lines = (TOP / "patches/qemu/versions").read_text(encoding="utf-8").splitlines()
    return [line.split()[0] for line in lines if not line.startswith("#")]


def split_version(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The version of QEMU that is among a test's arguments, if one is, and the other arguments."""
    version = [argument for argument in arguments if argument in qemu_versions()][:1]
    return version, [argument for argument in arguments if argument not in version]


def built_qemus() -> list[str]:
    """The directories of all versions of QEMU, the default first; the source of one may be gone, which is said."""
    found = []
    for version in qemu_versions():
        try:
            found.append(str(built("scripts/build-qemu", version)))
        except NotToBeHad as error:
            comment(f"without QEMU {version}: {error}")
    return found


def build_parts(*qemu: str, programs: bool = False, control: bool = False) -> Parts:
    """Build what is missing, the modules too, so that no boot waits for a build, and the QEMU
    of another version than the default if one is named. What needs the network comes first. With programs
    the guest has what PROGRAM_WORKLOADS need, with control QEMU has what the mode vmm needs."""
    built("scripts/fetch-kernel")
    built("scripts/fetch-qemu", *qemu)
    built("scripts/build-modules")
    return Parts(built("lab/build-guest", *["--programs"] * programs),
                 built("scripts/build-qemu", *["--control"] * control, *qemu), built("scripts/build-userspace"))


def build_or_skip(*qemu: str, programs: bool = False, control: bool = False) -> Parts:
    """The same; where a source cannot be had, all that the calling program tests is skipped."""
    try:
        return build_parts(*qemu, programs=programs, control=control)
    except NotToBeHad as error:
        skip_all(str(error))


def host_mib(guest_mib: int) -> int:
    """Memory of L1: both guests, and what their QEMUs and L1 itself take."""
    return 2 * guest_mib + 2560


def host_command(memory_mib: int, timeout: int, kvm: str, host: str = "amd") -> list[str]:
    """The beginning of a command line that boots L1 for migrations. What an Intel host has of memory is fixed."""
    options = ["--host", host] if host == "intel" else [
        "--memory", str(memory_mib), *(f"--module={name}" for name in HOST_MODULES)]
    # One CPU, so that scripts/check can run another suite beside it on two cores.
    return [str(TOP / "lab/run"), "--kvm", kvm, "--cpus", "1", *options, "--timeout", str(timeout), "--"]


def migrate_command(guest_mib: int, runs: int, parts: Parts, kvm: str, options: list[str],
                    timeout: int = RUN_TIMEOUT, host: str = "amd") -> list[str]:
    """The command line of lab/run for so many migrations."""
    return [
        *host_command(host_mib(guest_mib), BOOT_TIMEOUT + runs * timeout, kvm, host),
        str(TOP / "lab/l1/migrate"), "--timeout", str(timeout),
        "--guest", str(parts.guest), "--guest-mib", str(guest_mib),
        "--qemu", str(parts.qemu / "qemu-system-x86_64"),
        "--fprctl", str(parts.userspace / "fprctl"),
        "--firmware", str(parts.qemu / "pc-bios"),
        "--logs", str(TOP / "out/lab/migrate"), *options,
    ]


def command(plan: MigrationPlan, parts: Parts, kvm: str, options: list[str], host: str = "amd") -> list[str]:
    """The command line of lab/run for a plan's migrations."""
    return migrate_command(plan.guest_mib, plan.runs(), parts, kvm, [
        "--workload", ",".join(plan.workloads), "--mode", ",".join(plan.modes),
        "--repeat", str(plan.repeat), *options], PROGRAM_TIMEOUT if plan.has_programs() else RUN_TIMEOUT, host)


def ignore(_result: dict[str, Any]) -> None:
    """Do nothing with a result as it comes."""


def follow(lab: subprocess.Popen[str], show: Callable[[str], None],
           each: Callable[[dict[str, Any]], None] = ignore) -> list[dict[str, Any]]:
    """Read a lab's output to its end: call each with every result, show all other lines; returns the results."""
    results: list[dict[str, Any]] = []
    assert lab.stdout
    for text in lab.stdout:
        result = parse_result(text)
        if result is None:
            show(text.rstrip())
        else:
            results.append(result)
            each(result)
    return results


def run_command(line: list[str], runs: int, show: Callable[[str], None],
                each: Callable[[dict[str, Any]], None] = ignore) -> list[dict[str, Any]]:
    """All results, among them those of failed runs. Fewer than planned, or a lab
    that ends badly although no run failed, is an error."""
    (TOP / "out").mkdir(exist_ok=True)  # the one directory that L1 may write to
    with subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace") as lab:
        results = follow(lab, show, each)
    failed = any("error" in result for result in results)
    if len(results) != runs or lab.returncode and not failed:
        raise LabError(f"the lab ended with status {lab.returncode} after {len(results)} of {runs} runs")
    return results


def run_session(plan: MigrationPlan, parts: Parts, show: Callable[[str], None], kvm: str = "modules",
                options: Optional[list[str]] = None,
                each: Callable[[dict[str, Any]], None] = ignore, host: str = "amd") -> list[dict[str, Any]]:
    """All results of a plan, on a host with the processor that lab/run calls so."""
    return run_command(command(plan, parts, kvm, options or [], host), plan.runs(), show, each)


def run_cases(cases: Sequence[str], guest_mib: int, parts: Parts, show: Callable[[str], None],
              options: Sequence[str] = ()) -> list[dict[str, Any]]:
    """All results of migrations with their features, as lab/l1/migrate names them."""
    line = migrate_command(guest_mib, len(cases), parts, "modules", [*options, *(f"--case={case}" for case in cases)])
    return run_command(line, len(cases), show)
