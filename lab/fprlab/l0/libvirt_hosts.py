# SPDX-License-Identifier: GPL-2.0-only
"""Two hosts of the lab (L1) with libvirt, and a network between them that nobody else is on."""

import contextlib
import dataclasses
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Callable, Iterator

from ..common.names import TOP
from .session import Parts, build_parts, follow

LOGS = TOP / "out/lab"
GUEST_MIB = 512
HOST_MIB = 1920  # the guest, its QEMU, what was written to the overlays, and L1 itself
SECONDS = 900
SECONDS_TO_END = 900
LAST_LINES = 20
MODULES = ("overlay", "virtio_net")


@dataclasses.dataclass(frozen=True)
class Host:
    """One of the two hosts."""

    number: int
    link: str  # the properties of its end of the network
    command: tuple[str, ...]


def hosts(directory: Path) -> list[Host]:
    """host1, which migrates, and host2, which is there for it; a directory for the network's socket."""
    address = f"addr.type=unix,addr.path={directory}/network"
    return [Host(1, f"server=off,reconnect-ms=500,{address}", ("lab/l1/libvirt/source", str(GUEST_MIB))),
            Host(2, f"server=on,{address}", ("lab/l1/libvirt/destination",))]


def command_line(host: Host, libvirt: Path, parts: Parts) -> list[str]:
    """The command line that boots a host. One CPU, as in fprlab.l0.session."""
    qemu = ["-netdev", f"stream,id=net,{host.link}",
            "-device", f"virtio-net-pci,netdev=net,romfile=,mac=52:54:00:00:00:0{host.number}"]
    return [
        str(TOP / "lab/run"), "--cpus", "1", "--memory", str(HOST_MIB), "--timeout", str(SECONDS),
        "--log", str(LOGS / f"libvirt-host{host.number}.log"),
        *(f"--module={name}" for name in MODULES), *(f"--qemu-arg={argument}" for argument in qemu), "--",
        "lab/l1/libvirt/host", str(host.number), str(libvirt), str(parts.qemu), str(parts.guest), *host.command]


@contextlib.contextmanager
def started(line: list[str], output: Any) -> Iterator[subprocess.Popen[str]]:
    """A host, which lab/run ends with itself."""
    with subprocess.Popen(line, cwd=TOP, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                          text=True, errors="replace") as lab:
        try:
            yield lab
        finally:
            lab.terminate()


def wait_end(lab: subprocess.Popen[str], number: int, show: Callable[[str], None]) -> bool:
    """Whether a host ended, and well."""
    try:
        status = lab.wait(SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        show(f"host{number} did not end")
        return False
    if status:
        show(f"host{number} ended with status {status}")
    return not status


def run_hosts(libvirt: Path, show: Callable[[str], None]) -> tuple[list[dict[str, Any]], bool]:
    """All results, and whether both hosts ended well; the directory that scripts/fetch-libvirt prints."""
    parts = build_parts()
    LOGS.mkdir(parents=True, exist_ok=True)
    says = LOGS / "libvirt-host2.out"
    with tempfile.TemporaryDirectory(prefix="fpr-") as directory, says.open("w", encoding="utf-8") as output:
        first, second = (command_line(host, libvirt, parts) for host in hosts(Path(directory)))
        with started(second, output) as other, started(first, subprocess.PIPE) as lab:
            results = follow(lab, show)
            well = wait_end(lab, 1, show)
            well = well and wait_end(other, 2, show)
    if not well:
        for line in says.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:]:
            show(f"host2: {line}")
    return results, well
