# SPDX-License-Identifier: GPL-2.0-only
"""One QEMU with the lab's guest: its command line, its logs and its end."""

import dataclasses
import subprocess
import time
from pathlib import Path
from typing import Optional, Sequence

from ..common.errors import LabError
from ..common.names import CONTROL_MODE, FILTER_MODES, REPORT_MODES
from ..common.trouble import first_trouble
from .drop_trace import EVENT
from .features.feature import Feature
from .guest_image import initrd
from .guest_port import GuestPort
from .qmp import Qmp

WANTED_CRASH = "sysrq triggered crash"
KERNEL_COMMAND_LINE = " ".join((
    # Trouble of any kind ends the guest, so that it can't be overlooked.
    "console=ttyS0 loglevel=5 panic=-1 oops=panic panic_on_warn=1",
    # An emulated host may stand still for long: the guest's watchdogs wait longer.
    "watchdog_thresh=60 rcupdate.rcu_cpu_stall_timeout=120",
    "random.trust_cpu=on raid=noautodetect cryptomgr.notests audit=0 apparmor=0"))

BALLOON = {
    "plain": "virtio-balloon-pci",
    "pagemap": "virtio-balloon-pci",
    "hint": "virtio-balloon-pci,iothread=io0,free-page-hint=on",
    "filter-hint": "virtio-balloon-pci,iothread=io0,free-page-hint=on,free-page-filter=on",
    "filter-report": "virtio-balloon-pci",
    CONTROL_MODE: "virtio-balloon-pci",
}
# See qemu/accel/kvm/kvm-fpr-vmm.h.
CONTROL_VARIABLE = "KVM_FPR_VMM"
CONTROL = ["env", f"{CONTROL_VARIABLE}=1"]
HINT_MODES = ("hint", "filter-hint")


@dataclasses.dataclass(frozen=True)
class QemuSettings:
    """What every QEMU of a set of runs has in common."""

    binary: str
    firmware: Optional[str]
    accel: str
    guest: Path  # the directory that lab/build-guest prints
    guest_mib: int
    append: str = ""  # to the guest's kernel command line
    prefix: tuple[str, ...] = ()  # a command that runs another
    report: str = ""  # more properties of free-page-agent
    fprctl: str = ""  # for the mode pagemap
    must: bool = False  # measure what has to be sent, too


@dataclasses.dataclass(frozen=True)
class Guest:
    """What all QEMUs have in common in which a guest lives, one after the other."""

    workload: str
    mode: str
    features: tuple[Feature, ...] = ()

    def cpus(self) -> int:
        """How many virtual CPUs it has."""
        return max([1, *(feature.cpus for feature in self.features)])

    def blocks(self, size: int) -> list[tuple[int, int]]:
        """Guest physical address and size of each of QEMU's blocks that are its RAM of that size, without memory
        devices."""
        nodes = max([1, *(feature.nodes for feature in self.features)])
        return [(node * size // nodes, size // nodes) for node in range(nodes)]

    def ram(self, mib: int) -> list[str]:
        """The arguments that are the guest's RAM: an object for each node."""
        kinds = [feature.backend for feature in self.features if feature.backend] or ["memory-backend-ram"]
        blocks = self.blocks(mib)
        args = [word for node, (_, size) in enumerate(blocks) for word in
                ("-object", f"{kinds[0]},id=ram{node},size={size}M")]
        if len(blocks) == 1:
            return [*args, "-machine", "memory-backend=ram0"]
        return args + [word for node in range(len(blocks)) for word in
                       ("-numa", f"node,nodeid={node},memdev=ram{node}")]

    def memory(self, mib: int) -> str:
        """The argument of -m."""
        return f"{mib}M" + "".join(feature.memory for feature in self.features)

    def machine(self) -> str:
        """QEMU's name of the machine, and its properties."""
        return next((feature.machine for feature in self.features if feature.machine), "pc")

    def accel(self) -> str:
        """What follows the accelerator's name."""
        return "".join(feature.accel for feature in self.features)

    def reports(self) -> bool:
        """Whether its agent is asked for reports."""
        return self.mode in REPORT_MODES or any(feature.reports for feature in self.features)

    def filters(self) -> bool:
        """Whether its migrations have the capability that switches the filter on."""
        return self.mode in FILTER_MODES or self.reports()

    def append(self) -> str:
        """Words for the kernel's command line."""
        words = [f"lab_workload={self.workload}", *(feature.append for feature in self.features)]
        if modules := [name for feature in self.features for name in feature.modules]:
            words.append(f"lab_modules={','.join(modules)}")
        if self.reports():
            words.append("lab_report=yes")
        if self.mode in HINT_MODES:
            # The balloon's driver allocates the blocks that it hints. If the kernel
            # zeroes what it allocates, as Debian's does, the guest has written them since
            # the filter was armed, and none may be dropped.
            words.append("init_on_alloc=0")
        return " ".join(words)

    def arguments(self, directory: Path, incoming: bool) -> list[str]:
        """The arguments that the guest's features add."""
        return [arg for feature in self.features for arg in feature.arguments(directory, incoming)]


def report_arguments(settings: QemuSettings, directory: Path, agent: Optional[Path]) -> list[str]:
    """The port at which the guest reports, and what asks there, or at another agent."""
    return [
        "-device", "virtio-serial-pci,max_ports=2",
        "-chardev", f"socket,id=report,path={directory}/report,server=on,wait=off",
        "-device", "virtserialport,chardev=report,name=fpr.report",
        "-chardev", f"socket,id=agent,path={agent or directory / 'report'}",
        "-object", f"free-page-agent,id=report0,chardev=agent{',' * bool(settings.report)}{settings.report}",
    ]


def command_line(settings: QemuSettings, guest: Guest, directory: Path, incoming: bool,
                 agent: Optional[Path] = None) -> list[str]:
    """QEMU's arguments; source and destination differ in nothing but incoming."""
    # Emulated below KVM, the sizes of XSAVE areas make the guest's kernel warn, and the
    # virtual GIF is lost now and then: the destination then refuses the state of a
    # nested virtualisation that the guest does not use.
    cpu = "host,-xsave,-svm,-vmx" if settings.accel == "kvm" else "max"
    args = [
        *settings.prefix, *CONTROL * (guest.mode == CONTROL_MODE), settings.binary,
        "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
        "-accel", settings.accel + guest.accel(), "-cpu", cpu, "-smp", str(guest.cpus()),
        "-machine", guest.machine(), "-m", guest.memory(settings.guest_mib), *guest.ram(settings.guest_mib),
        "-object", "iothread,id=io0",
        "-kernel", str(settings.guest / "vmlinuz"), "-initrd", str(initrd(settings.guest, guest.workload)),
        "-append", f"{KERNEL_COMMAND_LINE} {settings.append} lab_mib={settings.guest_mib} {guest.append()}",
        "-qmp", f"unix:{directory}/qmp,server=on,wait=off",
        "-serial", f"file:{directory}/console",
        "-serial", f"unix:{directory}/port,server=on,wait=off",
        "-device", BALLOON[guest.mode],
        *guest.arguments(directory, incoming),
    ]
    if guest.reports():
        args += report_arguments(settings, directory, agent)
    if settings.firmware:
        args += ["-L", settings.firmware]
    if incoming:
        args += ["-S", "-incoming", "defer"]
    # A destination may be the next migration's source.
    if guest.mode in FILTER_MODES:
        args += ["-trace", f"enable={EVENT},file={directory}/trace"]
    return args


def crashed(machines: Sequence["GuestQemu"]) -> bool:
    """Whether the guest that went through these has done what "crash" asks for."""
    return WANTED_CRASH in "".join(line for machine in machines for line in machine.console())


class GuestQemu:
    """A running QEMU."""

    def __init__(self, settings: QemuSettings, guest: Guest, directory: Path, incoming: bool = False,
                 agent: Optional[Path] = None) -> None:
        directory.mkdir()
        self.directory = directory
        with (directory / "stderr").open("wb") as stderr:
            self._process = subprocess.Popen(
                command_line(settings, guest, directory, incoming, agent),
                stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr)
        self.pid = self._process.pid
        try:
            self._wait_for_socket(directory / "port")
            self._wait_for_socket(directory / "qmp")
            self.qmp = Qmp(str(directory / "qmp"))
            self.port = GuestPort(str(directory / "port"))
        except BaseException:
            self.end()
            raise

    def _wait_for_socket(self, path: Path) -> None:
        while not path.exists():
            if self._process.poll() is not None:
                raise LabError(f"QEMU did not start: {self.stderr().strip() or 'it says nothing'}")
            time.sleep(0.02)

    def stderr(self) -> str:
        """All that QEMU has said."""
        return (self.directory / "stderr").read_text(errors="replace")

    def console(self) -> list[str]:
        """The lines of the guest's console."""
        path = self.directory / "console"
        return path.read_text(errors="replace").splitlines() if path.exists() else []

    def trouble(self) -> Optional[str]:
        """The first line of the guest's console that must not be there."""
        return first_trouble(self.console(), lambda line: WANTED_CRASH in line)

    def let_reboot(self, allowed: bool) -> None:
        """Whether QEMU goes on when the guest resets its machine, as firmware does once
        more when it was reset; else QEMU ends."""
        self.qmp.execute("set-action", reboot="reset" if allowed else "shutdown")

    def alive(self) -> bool:
        """Whether QEMU runs."""
        return self._process.poll() is None

    def end(self) -> None:
        """Kill it; there is nothing in it to keep."""
        self._process.kill()
        self._process.wait()
