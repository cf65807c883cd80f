# SPDX-License-Identifier: GPL-2.0-only
"""Devices that write to a guest's memory, as features like those of feature.py, each with
a look at whether it did."""

import contextlib
import re
import subprocess
from pathlib import Path
from typing import Callable, Iterator, Sequence

from ...common.errors import LabError
from ..disk_content import write_disk
from ..qmp import Qmp
from ..traffic import frames
from ..waiting import wait_until
from .feature import Ends, Feature
from .holding import HELD, let_go, wait_held

MIB = 1 << 20
DISK_MIB = 128
TAPS = ("fpr-from", "fpr-to")
MAC = bytes((0x52, 0x54, 0, 0x12, 0x34, 0x56))
CIDS = (3, 4)


def disk_arguments(directory: Path, _incoming: bool) -> Sequence[str]:
    """Both ends read one image, which nobody writes."""
    return ("-blockdev", f"driver=file,node-name=disk0,filename={directory.parent}/disk,read-only=on",
            "-device", "virtio-blk-pci,id=disk,drive=disk0")


@contextlib.contextmanager
def disk_image(directory: Path, _guest_mib: int, _programs: Path) -> Iterator[None]:
    """Make the disk's image."""
    write_disk(directory / "disk", DISK_MIB)
    yield


def read_bytes(qmp: Qmp) -> int:
    """What the guest has read from its disk since its QEMU began."""
    return sum(item["stats"]["rd_bytes"] for item in qmp.execute("query-blockstats"))


def look_at_disk(qmp: Qmp, read: Callable[[Qmp], int] = read_bytes) -> None:
    """Reading goes on for a while of the migration."""
    before = read(qmp)
    wait_held(qmp, "the guest has read from its disk", lambda: read(qmp) > before + 16 * MIB)
    let_go(qmp)


def check_disk(ends: Ends, read: Callable[[Qmp], int] = read_bytes) -> str:
    """How much was read."""
    return f"{read(ends.source.qmp) >> 20} MiB read from the disk at the source"


def process_disk_arguments(directory: Path, _incoming: bool) -> Sequence[str]:
    """Each end has a process of its own, which reads the same image."""
    return ("-chardev", f"socket,id=disk0,path={directory.parent}/disk-{directory.name}",
            "-device", "vhost-user-blk-pci,id=disk,chardev=disk0")


@contextlib.contextmanager
def disk_processes(directory: Path, _guest_mib: int, programs: Path) -> Iterator[None]:
    """Make the disk's image, and start what reads it in QEMU's place."""
    write_disk(directory / "disk", DISK_MIB)
    with contextlib.ExitStack() as stack:
        for end in ("source", "destination"):
            path = directory / f"disk-{end}"
            process = subprocess.Popen([programs / "vhost-user-blk", "-s", path, "-b", directory / "disk"],
                                       stdin=subprocess.DEVNULL)
            stack.callback(process.wait)
            stack.callback(process.kill)
            wait_until("the disk's process is there", path.exists)
            (directory / f"disk-{end}.pid").write_text(str(process.pid), encoding="ascii")
        yield


def process_read_bytes(qmp: Qmp) -> int:
    """What the disk's process beside this QEMU has read."""
    chardev = next(item["filename"] for item in qmp.execute("query-chardev") if item["label"] == "disk0")
    match = re.search(r"unix:([^,]*/disk-\w+)", chardev)
    if not match:
        raise LabError(f"no process is at the disk: {chardev}")
    pid = Path(f"{match[1]}.pid").read_text(encoding="ascii")
    return int(Path(f"/proc/{pid}/io").read_text(encoding="ascii").split()[1])


def net_arguments(_directory: Path, incoming: bool) -> Sequence[str]:
    """Each end has a tap, whose other end is the host's kernel."""
    return ("-netdev", f"tap,id=net0,ifname={TAPS[incoming]},script=no,downscript=no,vhost=on",
            "-device", f"virtio-net-pci,netdev=net0,mac={MAC.hex(':')},romfile=")


def vsock_arguments(_directory: Path, incoming: bool) -> Sequence[str]:
    """The number is the host's, so the two ends differ."""
    return ("-device", f"vhost-vsock-pci,guest-cid={CIDS[incoming]}")


def check_vhost(_ends: Ends) -> str:
    """The host's kernel has written to the guest's memory."""
    received = int(Path(f"/sys/class/net/{TAPS[0]}/statistics/tx_packets").read_text(encoding="ascii"))
    if not received:
        raise LabError("the guest has received no frame")
    return f"{received} frames received at the source"


DEVICE_FEATURES = {feature.name: feature for feature in (
    Feature("virtio-blk", arguments=disk_arguments, modules=("virtio_blk",), around=disk_image,
            parameters=HELD, during=look_at_disk, loaded=check_disk),
    # The process has the guest's memory, and a log of its own of what it writes there.
    Feature("vhost-user-blk", backend="memory-backend-memfd,share=on", arguments=process_disk_arguments,
            modules=("virtio_blk",), around=disk_processes, parameters=HELD,
            during=lambda qmp: look_at_disk(qmp, process_read_bytes),
            loaded=lambda ends: check_disk(ends, process_read_bytes)),
    Feature("vhost-net", arguments=net_arguments, modules=("failover", "net_failover", "virtio_net"),
            around=lambda _directory, _guest_mib, _programs: frames(TAPS, MAC), loaded=check_vhost),
    # Nothing is sent to it: Linux's vhost_vsock logs its writes to the used ring alone, and
    # plain migrations lose what it writes to the guest's buffers just before the end.
    Feature("vhost-vsock", arguments=vsock_arguments,
            modules=("vsock", "vmw_vsock_virtio_transport_common", "vmw_vsock_virtio_transport")),
)}
