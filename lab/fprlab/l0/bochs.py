# SPDX-License-Identifier: GPL-2.0-only
"""L1 in Bochs, an emulator of Intel's processors with VMX; QEMU's has none."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ..common.errors import LabError

MOST_MIB = 2048
# A processor with EPT, its accessed and dirty bits, page modification logging, VPID and unrestricted guests.
MODEL = "corei7_skylake_x"
# Its clock counts instructions: so many millions are a second in L1, however long they take here.
MIPS = 50
# Timers do not wake a CPU from a deeper sleep than HLT. A triple fault ends Bochs, which would boot again after any
# other reset. APICv is off, as Bochs wants posted interrupt descriptors to be whole pages. The other options save time.
KERNEL_WORDS = (
    "idle=halt reboot=triple kvm_intel.enable_apicv=0 mitigations=off nokaslr nowatchdog cryptomgr.notests audit=0"
)

CONFIGURATION = """\
config_interface: textconfig
display_library: nogui
plugin_ctrl: unmapped=1, biosdev=1, speaker=0, extfpuirq=1, parallel=0, serial=1
memory: guest={memory}, host={memory}
cpu: model={model}, count={cpus}, ips={ips}, reset_on_triple_fault=0, ignore_bad_msrs=1
romimage: file=/proc/self/fd/{bios}
vgaromimage: file=/proc/self/fd/{vgabios}
vga: extension=vbe, update_freq=1
boot: cdrom
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata1: enabled=0
ata0-master: type=cdrom, path=/proc/self/fd/{iso}, status=inserted
com1: enabled=1, mode=file, dev=/proc/self/fd/{log}
com2: enabled=1, mode=file, dev=/proc/self/fd/{ctl}
com3: enabled=1, mode=file, dev=/proc/self/fd/{data}
clock: sync=none, time0=1700000000, rtc_sync=0
pci: enabled=1, chipset=i440fx
private_colormap: enabled=0
mouse: enabled=0
log: /proc/self/fd/2
panic: action=fatal
error: action=ignore
info: action=ignore
debug: action=ignore
"""

# Debian packages and what is used of them.
ISOLINUX = Path("/usr/lib/ISOLINUX/isolinux.bin")
LDLINUX = Path("/usr/lib/syslinux/modules/bios/ldlinux.c32")
PACKAGES = {"isolinux": ISOLINUX, "syslinux-common": LDLINUX}


def kernel_words(mips: int) -> str:
    """For L1's kernel. The TSC's rate cannot be measured in Bochs."""
    return f"tsc_early_khz={mips * 1000} {KERNEL_WORDS}"


class Running(NamedTuple):
    """Bochs, and the ends of what L1's init writes to."""

    process: subprocess.Popen[bytes]
    ctl: BinaryIO
    data: BinaryIO


def check_packages() -> None:
    """Complain if what makes a disk to boot from is missing."""
    missing = [package for package, file in PACKAGES.items() if not file.exists()]
    missing += [] if shutil.which("xorriso") else ["xorriso"]
    if missing:
        raise LabError(f"needs the Debian packages {' '.join(missing)} (scripts/install-packages installs them)")


def memory_file(name: str, data: bytes = b"") -> BinaryIO:
    """A file in memory, which has no name on disk."""
    file = open(os.memfd_create(name), "w+b")
    file.write(data)
    file.flush()
    return file


def boot_disk(image: Path, initramfs: bytes, append: str) -> BinaryIO:
    """A CD with a kernel. Bochs cannot load one itself."""
    iso = memory_file("iso")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        for source in (ISOLINUX, LDLINUX):
            shutil.copy(source, directory)
        shutil.copy(image, directory / "vmlinuz")
        (directory / "initrd").write_bytes(initramfs)
        (directory / "isolinux.cfg").write_text(
            f"default lab\nprompt 0\nlabel lab\nkernel vmlinuz\ninitrd initrd\nappend {append}\n")
        made = subprocess.run(
            ["xorriso", "-as", "mkisofs", "-quiet", "-o", "-", "-b", ISOLINUX.name, "-c", "boot.cat", "-no-emul-boot",
             "-boot-load-size", "4", "-boot-info-table", directory],
            stdout=iso, stderr=subprocess.PIPE, text=True, errors="replace", check=False)
    if made.returncode:
        raise LabError(f"xorriso cannot make the disk of L1: {made.stderr.strip().splitlines()[-1:]}")
    return iso


def start(bochs: Path, disk: BinaryIO, cpus: int, memory: int, mips: int, log: BinaryIO) -> Running:
    """Start Bochs, as scripts/build-bochs made it, with a disk, and L1's console in a log."""
    ctl, ctl_far = os.pipe()
    data, data_far = os.pipe()
    with (open(bochs / "bios/BIOS-bochs-latest", "rb") as bios, open(bochs / "bios/vgabios.bin", "rb") as vgabios,
          memory_file("bochsrc") as configuration, open(ctl_far, "wb"), open(data_far, "wb")):
        # Files are named by their descriptors, as the configuration cannot quote names.
        numbers = {"ctl": ctl_far, "data": data_far, "iso": disk.fileno(), "log": log.fileno(),
                   "bios": bios.fileno(), "vgabios": vgabios.fileno()}
        configuration.write(CONFIGURATION.format(
            memory=memory, model=MODEL, cpus=cpus, ips=mips * 1_000_000, **numbers).encode())
        configuration.flush()
        process = subprocess.Popen(
            # Bochs must not outlive this process, however this ends.
            ["setpriv", "--pdeathsig", "KILL", "--",
             bochs / "bochs", "-q", "-f", f"/proc/self/fd/{configuration.fileno()}"],
            pass_fds=[configuration.fileno(), *numbers.values()], start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    return Running(process, open(ctl, "rb"), open(data, "rb"))
