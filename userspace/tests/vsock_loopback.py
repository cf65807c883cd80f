# SPDX-License-Identifier: GPL-2.0-only
"""A vsock from the lab's L1 to itself."""

import os
import subprocess
from pathlib import Path

from fprlab.common.tap import Skip

LOOPBACK = ("vsock", "vmw_vsock_virtio_transport_common", "vsock_loopback")
CID_LOCAL = 1


def load_loopback() -> None:
    """vsock to this machine itself."""
    release = os.uname().release
    tree = next(Path(os.environ["KVM_FPR_CACHE"]).glob(f"kernel-*/root/lib/modules/{release}/kernel/net/vmw_vsock"), None)
    if not tree:
        raise Skip("the kernel's vsock modules are not in the cache")
    for name in LOOPBACK:
        data = subprocess.run(["xz", "-dc", tree / f"{name}.ko.xz"], stdout=subprocess.PIPE, check=True).stdout
        Path(f"/tmp/{name}.ko").write_bytes(data)
        subprocess.run(["insmod", f"/tmp/{name}.ko"], check=True)
