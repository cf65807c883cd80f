# SPDX-License-Identifier: GPL-2.0-only
"""What is different where the lab's host is an arm64 machine: it runs none of this one's programs, and KVM is a part
of its kernel."""

import argparse
import shutil
import struct
from pathlib import Path
from typing import NamedTuple

from ..common.errors import LabError

COMPILER = "aarch64-linux-gnu-gcc"
STRIP = "aarch64-linux-gnu-strip"
EMULATOR = "qemu-system-aarch64"
# The packages that have them.
PROGRAMS = {COMPILER: "gcc-aarch64-linux-gnu", STRIP: "binutils-aarch64-linux-gnu", EMULATOR: "qemu-system-arm"}
MEMORY_MIB = 2048

EM_AARCH64 = 183
PT_INTERP = 3


def refusal(args: argparse.Namespace) -> str:
    """Why lab/run cannot do what its options say; empty if it can."""
    for option, given, why in (
        ("--host", args.host != "amd", "there is no such processor"),
        ("--interactive", args.interactive, "there is no shell"),
        ("--kvm", args.kvm != "modules", "KVM is a part of the kernel: name another by --image"),
        ("--kernel", args.kernel != "stock", "a kernel is named by --image"),
        ("--module", args.module, "the kernel has no modules"),
    ):
        if given:
            return f"{option} is not for --arch arm64, where {why}"
    return ""


class Arm64Emulator(NamedTuple):
    """What L1 runs in: Debian's QEMU, with EL2 for its KVM."""

    program: str
    accel: str

    serial_bus = "virtio-serial-device"
    shares = False

    def command(self) -> list[str]:
        """The beginning of the command line."""
        command = [self.program, "-machine", "virt,virtualization=on,gic-version=3", "-cpu", "max,pauth-impdef=on",
                   "-global", "virtio-mmio.force-legacy=false"]
        if self.accel == "icount":
            return [*command, "-accel", "tcg,thread=single,tb-size=512", "-icount", "shift=0"]
        return [*command, "-accel", "tcg,thread=multi,tb-size=512"]

    def words(self) -> str:
        """For the kernel's command line."""
        return "console=ttyAMA0"


def choose_emulator(icount: bool) -> Arm64Emulator:
    """Debian's, emulating: this machine's KVM makes no arm64 machines."""
    program = shutil.which(EMULATOR)
    if not program:
        raise LabError(f"needs {EMULATOR}: install the Debian package {PROGRAMS[EMULATOR]} "
                       "(scripts/install-packages does)")
    return Arm64Emulator(program, "icount" if icount else "tcg")


def is_static_program(data: bytes) -> bool:
    """A 64-bit ELF file for arm64 that needs no other file to run."""
    if data[:6] != b"\x7fELF\x02\x01" or len(data) < 64 or struct.unpack_from("<H", data, 18)[0] != EM_AARCH64:
        return False
    offset, = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    headers = range(offset, offset + size * count, size or 1)
    return all(at + 4 <= len(data) and struct.unpack_from("<I", data, at)[0] != PT_INTERP for at in headers)


def check_program(path: Path) -> None:
    """Complain of what cannot run there, whose files are all for this machine."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise LabError(f"cannot read {path}: {error.strerror}") from None
    if not is_static_program(data):
        raise LabError(f"{path} is no static program for arm64, and L1 has no other file to run it with")
