# SPDX-License-Identifier: GPL-2.0-only
"""A Debian system of our own: changed in a chroot at this machine's speed, then booted in the emulator."""

import os
import subprocess
import time
from pathlib import Path
from typing import Callable, Optional, Sequence

from ..common.errors import LabError
from ..common.trouble import first_trouble
from .patience import Patience

# Run in a mount namespace of its own, with which these mounts end.
ENTER = """
mount -t proc proc "$0/proc"
mount -t sysfs sysfs "$0/sys"
mount -t tmpfs tmpfs "$0/run"
mount --rbind /dev "$0/dev"
exec chroot "$0" "$@"
"""
# A system with a modest environment, where no service is started.
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8",
               "DEBIAN_FRONTEND": "noninteractive"}
IMAGE_SPARE_MIB = 600
MEMORY_MIB = 4608
POLL_S = 0.2
KERNEL_COMMAND_LINE = " ".join((
    "root=/dev/vda rw console=ttyS0 panic=-1 oops=panic panic_on_warn=1 watchdog_thresh=60 no_timer_check",
    "systemd.firstboot=0 systemd.show_status=no systemd.default_timeout_start_sec=600 random.trust_cpu=on"))

Result = subprocess.CompletedProcess[str]


class Chroot:
    """A copy of what scripts/build-debian-system made, and what is done to it."""

    def __init__(self, system: Path, root: Path) -> None:
        self.root = root
        self.kernel = (system / "version").read_text().strip()
        subprocess.run(["cp", "-a", str(system / "root"), str(root)], check=True)
        # Debian's own way to say that this is no place to start services.
        policy = root / "usr/sbin/policy-rc.d"
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)

    def run(self, *command: object) -> Result:
        """Run a command there; its stdout and stderr come as one text."""
        enter = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", ENTER, str(self.root)]
        return subprocess.run(
            [*enter, *map(str, command)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace", env=ENVIRONMENT, check=False)

    def must(self, *command: object) -> str:
        """Run a command there that has to succeed; returns what it prints."""
        result = self.run(*command)
        if result.returncode:
            raise LabError(f"{' '.join(map(str, command))} failed in the chroot:\n{result.stdout}")
        return result.stdout

    def image(self, path: Path) -> Path:
        """A disk with the system as it is now; here services may be started."""
        (self.root / "usr/sbin/policy-rc.d").unlink()
        used = int(subprocess.check_output(["du", "-sm", self.root], text=True).split()[0])
        path.unlink(missing_ok=True)
        subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", self.root, path, f"{used * 5 // 4 + IMAGE_SPARE_MIB}M"],
                       stdout=subprocess.DEVNULL, check=True)
        return path


class Booted:
    """The system in the emulator; it runs the shell command, by lab/l1/debian/lab.service, and powers off."""

    def __init__(self, chroot: Chroot, image: Path, share: Path, qemu: Path, command: str,
                 arguments: Sequence[str] = ()) -> None:
        self.share = share
        self.log = share / "console"
        self.shown = 0
        share.mkdir()
        (share / "command").write_text(f"#!/bin/sh\n{command}\n")
        (share / "command").chmod(0o755)
        boot = chroot.root / "boot"
        line = [
            "setpriv", "--pdeathsig", "KILL", "--",
            str(qemu / "qemu-system-x86_64"), "-L", str(qemu / "pc-bios"), "-no-user-config", "-nodefaults",
            "-display", "none", "-no-reboot", "-machine", "q35", "-m", str(MEMORY_MIB),
            # One CPU, as in lab/fprlab/l0/session.py.
            "-accel", "tcg,tb-size=512", "-cpu", "max,-erms,-fsrm", "-smp", "1",
            "-kernel", str(boot / f"vmlinuz-{chroot.kernel}"), "-initrd", str(boot / f"initrd.img-{chroot.kernel}"),
            "-append", KERNEL_COMMAND_LINE, "-drive", f"if=virtio,format=raw,file={image}",
            "-serial", f"file:{self.log}", "-device", "virtio-serial-pci",
            "-fsdev", f"local,id=lab,path={share},security_model=none",
            "-device", "virtio-9p-pci,fsdev=lab,mount_tag=fpr.lab",
            "-fsdev", "local,id=root,path=/,security_model=none,multidevs=remap,readonly=on",
            "-device", "virtio-9p-pci,fsdev=root,mount_tag=fpr.root", *arguments]
        # A session of its own, which the terminal's Ctrl-C does not reach.
        self.process = subprocess.Popen(line, stdin=subprocess.DEVNULL, start_new_session=True)

    def __enter__(self) -> "Booted":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def follow(self, seconds: float, each: Callable[[], None] = lambda: None) -> None:
        """Show what the command prints until the system has powered off; meanwhile call each again and again.
        The seconds are as fprlab.l0.patience counts them."""
        patience = Patience(seconds, self.process.pid)
        while self.process.poll() is None:
            if patience.left() <= 0:
                raise LabError(f"it has not ended after {seconds} s\n{self.tail()}")
            each()
            self._show()
            time.sleep(POLL_S)
        self._show()
        if self.process.returncode:
            raise LabError(f"QEMU ended with status {self.process.returncode}")

    def _show(self) -> None:
        """The whole lines that are new."""
        lines = self.output().split("\n")[:-1]
        for line in lines[self.shown:]:
            print(f"#   {line}", flush=True)
        self.shown = len(lines)

    def output(self) -> str:
        """What the command has printed so far."""
        path = self.share / "output"
        return path.read_text(errors="replace") if path.exists() else ""

    def status(self) -> Optional[int]:
        """The command's exit status, once it has ended."""
        path = self.share / "status"
        return int(path.read_text()) if path.exists() else None

    def trouble(self) -> Optional[str]:
        """The first line of the console that says that something is wrong."""
        return first_trouble(self._console())

    def tail(self) -> str:
        """The last lines of the console, and of what the command has printed."""
        return os.linesep.join([*self._console()[-15:], *self.output().splitlines()[-15:]])

    def _console(self) -> list[str]:
        return self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
