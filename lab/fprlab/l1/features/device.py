# SPDX-License-Identifier: GPL-2.0-only
"""Devices that write to a guest's memory, as features like those of feature.py, each with
a look at whether it did."""

import contextlib
from pathlib import Path
from typing import Iterator, Sequence

from ...common.errors import LabError
from ..disk_content import write_disk
from ..qmp import Qmp
from ..traffic import frames
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
def disk_image(directory: Path, _guest_mib: int) -> Iterator[None]:
    """Make the disk's image."""
    write_disk(directory / "disk", DISK_MIB)
    yield


def read_bytes(qmp: Qmp) -> int:
    """What the guest has read from its disk since its QEMU began."""
    return sum(item["stats"]["rd_bytes"] for item in qmp.execute("query-blockstats"))


def look_at_disk(qmp: Qmp) -> None:
    """Reading goes on for a while of the migration."""
    before = read_bytes(qmp)
    wait_held(qmp, "the guest has read from its disk", lambda: read_bytes(qmp) > before + 16 * MIB)
    let_go(qmp)


def check_disk(ends: Ends) -> str:
    """How much was read."""
    return f"{read_bytes(ends.source.qmp) >> 20} MiB read from the disk at the source"


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
    Feature("vhost-net", arguments=net_arguments, modules=("failover", "net_failover", "virtio_net"),
            around=lambda _directory, _guest_mib: frames(TAPS, MAC), loaded=check_vhost),
    # Nothing is sent to it: Linux's vhost_vsock logs its writes to the used ring alone, and
    # plain migrations lose what it writes to the guest's buffers just before the end.
    Feature("vhost-vsock", arguments=vsock_arguments,
            modules=("vsock", "vmw_vsock_virtio_transport_common", "vmw_vsock_virtio_transport")),
)}
