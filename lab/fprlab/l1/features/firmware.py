# SPDX-License-Identifier: GPL-2.0-only
"""A guest whose firmware keeps a part of its memory to itself: UEFI with SMM, as Debian packages it."""

import shutil
from pathlib import Path
from typing import Sequence

from ...common.errors import LabError
from .feature import Ends, Feature, Side

FIRMWARE = Path("/usr/share/OVMF")  # of the package ovmf
CODE = FIRMWARE / "OVMF_CODE_4M.secboot.fd"
VARIABLES = FIRMWARE / "OVMF_VARS_4M.fd"
FLASH = 0xffc00000  # where the machine q35 has both, up to 4 GiB
FLASH_SIZE = 0x400000


def flash_arguments(directory: Path, _incoming: bool) -> Sequence[str]:
    """Each end has a file of variables, which only SMM may write."""
    shutil.copy(VARIABLES, directory / "variables")
    return ("-global", "driver=cfi.pflash01,property=secure,value=on",
            "-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={CODE}",
            "-drive", f"if=pflash,unit=1,format=raw,file={directory}/variables")


def read_flash(side: Side) -> bytes:
    """What the guest sees there."""
    path = side.directory / "flash"
    side.qmp.execute("pmemsave", val=FLASH, size=FLASH_SIZE, filename=str(path))
    return path.read_bytes()


def check_flash(ends: Ends) -> str:
    """The destination has the variables that the guest's firmware wrote."""
    source, destination = read_flash(ends.source), read_flash(ends.destination)
    if VARIABLES.read_bytes() in source:
        raise LabError("the guest's firmware has written no variable")
    if source != destination:
        raise LabError("the destination's flash differs from the source's")
    return "the destination has the flash as the firmware wrote it"


FIRMWARE_FEATURES = {feature.name: feature for feature in (
    Feature("uefi-smm", machine="q35,smm=on", arguments=flash_arguments, loaded=check_flash),
)}
