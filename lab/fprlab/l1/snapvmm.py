# SPDX-License-Identifier: GPL-2.0-only
"""The lab's guest in examples/snapvmm, a VMM that knows nothing of the filter."""

import os
import subprocess
import time
from pathlib import Path
from typing import Optional, Sequence

from ..common.errors import LabError
from ..common.trouble import first_trouble
from .guest_image import initrd
from .guest_port import GuestPort
from .ram import GuestRam

MEMORY = "memfd:guest-memory"
START_TIMEOUT = 300.0
# An emulated host may stand still for long. A reset is a triple fault, which ends the VMM.
KERNEL_COMMAND_LINE = " ".join((
    "console=ttyS0 loglevel=5 panic=-1 oops=panic panic_on_warn=1 reboot=t acpi=off",
    "watchdog_thresh=60 rcupdate.rcu_cpu_stall_timeout=120",
    "random.trust_cpu=on raid=noautodetect cryptomgr.notests audit=0 apparmor=0",
    "lab_report=/dev/ttyS2"))


def boot_arguments(guest: Path, workload: str, guest_mib: int) -> list[str]:
    """The arguments that make snapvmm boot the guest that lab/build-guest has put there."""
    return ["--kernel", str(guest / "vmlinuz"), "--initrd", str(initrd(guest, workload)), "--memory", str(guest_mib),
            "--append", f"{KERNEL_COMMAND_LINE} lab_mib={guest_mib} lab_workload={workload}"]


def restore_arguments(files: Sequence[Path], lazy: bool = False) -> list[str]:
    """The arguments that make snapvmm go on from a chain of snapshots."""
    return [*(argument for file in files for argument in ("--restore", str(file))), *["--lazy"] * lazy]


def memory_file(snapshot: Path) -> Path:
    """Where a flat snapshot has the guest's memory."""
    return Path(f"{snapshot}.mem")


# As a script of an operator's would: the VMM's interface is commands to one file and answers from another. When the
# snapshot began and ended, in seconds since the boot, goes to a third one. The guest stays paused.
TAKE_DIFF = """
ask() {
    echo "$1" > "$commands"
    read -r answer < "$answers"
    case $answer in
    $2*) ;;
    *) echo "$1: $answer" >&2; exit 1 ;;
    esac
}
commands=$1 answers=$2
read -r begun _ < /proc/uptime
ask pause paused
ask "diff $3" snapshot
read -r ended _ < /proc/uptime
echo "$begun $ended" > "$4"
"""


class Snapvmm:
    """A running snapvmm, paused. Its directory, which is made, gets the guest's console and ports."""

    def __init__(self, command: Sequence[str], directory: Path, user: Optional[int] = None) -> None:
        directory.mkdir()
        self.directory = directory
        if user is not None:
            directory.chmod(0o777)
        serial = (f"file:{directory}/console", f"unix:{directory}/port", f"unix:{directory}/report")
        with (directory / "stderr").open("wb") as stderr:
            self._process = subprocess.Popen(
                [*command, "--paused", *(word for line in serial for word in ("--serial", line))],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True,
                user=user, group=user, extra_groups=None if user is None else [])
        self.pid = self._process.pid
        try:
            self._wait_for(directory / "report")
            self.port = GuestPort(str(directory / "port"))
            self.pause()  # obeyed when all memory is loaded
        except BaseException:
            self.end()
            raise

    def _wait_for(self, path: Path) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while not path.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise LabError(f"snapvmm did not start: {self.stderr().strip() or 'it says nothing'}")
            time.sleep(0.02)

    def stderr(self) -> str:
        """All of stderr."""
        return (self.directory / "stderr").read_text(errors="replace")

    def command(self, line: str) -> str:
        """Give a command; returns its answer."""
        assert self._process.stdin and self._process.stdout
        try:
            self._process.stdin.write(f"{line}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass
        answer = self._process.stdout.readline().rstrip("\n")
        if not answer:
            raise LabError(f"snapvmm has ended: {self.stderr().strip() or 'it says nothing'}")
        return answer

    def _obey(self, line: str, answer: str) -> str:
        """Give a command whose answer must begin so; returns the rest of it."""
        found = self.command(line)
        if found.split()[0] != answer:
            raise LabError(f"snapvmm's answer to {line!r} is {found!r}")
        return found[len(answer):]

    def pause(self) -> None:
        """Let the guest stand still."""
        self._obey("pause", "paused")

    def resume(self) -> None:
        """Let the guest go on."""
        self._obey("resume", "resumed")

    def snapshot(self, file: Path) -> int:
        """Write the next file of the chain; its size, which must be what it says."""
        size = int(self._obey(f"snapshot {file}", "snapshot").split()[1])
        if file.stat().st_size != size:
            raise LabError(f"{file} has {file.stat().st_size} bytes, and not {size} as snapvmm says")
        return size

    def full(self, file: Path) -> None:
        """Write a flat snapshot of all memory, with which a chain begins."""
        self._obey(f"full {file}", "snapshot")

    def diff(self, file: Path) -> None:
        """Write the next flat file of a chain."""
        self._obey(f"diff {file}", "snapshot")

    def diff_command(self, file: Path, times: Path) -> list[str]:
        """A command that pauses the guest and writes the next flat file of its chain; times gets what TAKE_DIFF says."""
        assert self._process.stdin and self._process.stdout
        pipes = (f"/proc/{os.getpid()}/fd/{stream.fileno()}" for stream in (self._process.stdin, self._process.stdout))
        return ["sh", "-c", TAKE_DIFF, "take-diff", *pipes, str(file), str(times)]

    def loaded(self) -> int:
        """How many pages a lazy one has read from its files."""
        return int(self._obey("loaded", "loaded"))

    def ram(self) -> GuestRam:
        """Where the guest's memory is."""
        for line in Path(f"/proc/{self.pid}/maps").read_text(encoding="ascii", errors="replace").splitlines():
            if MEMORY in line:
                start, end = (int(part, 16) for part in line.split()[0].split("-"))
                return GuestRam(self.pid, MEMORY, start, end - start)
        raise LabError(f"process {self.pid} has no memory of a guest")

    def trouble(self) -> Optional[str]:
        """The first line of the guest's console that must not be there."""
        lines = (self.directory / "console").read_text(errors="replace").splitlines()
        return first_trouble(lines)

    def end(self) -> None:
        """Kill it; what there is to keep is in its snapshots."""
        self._process.kill()
        self._process.wait()
