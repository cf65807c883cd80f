# SPDX-License-Identifier: GPL-2.0-only
"""What can go wrong while a guest is migrated, and how it must end."""

import dataclasses
import subprocess
import time
from pathlib import Path
from typing import Callable

from ..common.errors import LabError
from .guest_qemu import GuestQemu, crashed
from .migration_control import ENDS
from .network import Network

CRASH_LIMIT = 300.0  # seconds
MIN_DISK_MIB = 1


def wait_crashed(machines: list[GuestQemu], over: Callable[[], bool]) -> None:
    """Wait until the guest has crashed, or the migration is over."""
    end = time.monotonic() + CRASH_LIMIT
    while not crashed(machines) and not over():
        if time.monotonic() > end:
            raise LabError("the guest did not crash when it was told to")
        time.sleep(0.05)


@dataclasses.dataclass(frozen=True)
class Scene:
    """Where a failure happens."""

    source: GuestQemu
    destination: GuestQemu
    network: Network
    host: int       # the source's
    length: float   # seconds that a failure lasts which heals by itself

    def over(self) -> bool:
        """Whether the migration has ended."""
        return self.source.qmp.execute("query-migrate").get("status") in ENDS


@dataclasses.dataclass(frozen=True)
class Failure:
    """Something that goes wrong; the migration may end only in the ways named."""

    name: str
    ends: tuple[str, ...]
    inject: Callable[[Scene], None]
    transports: tuple[str, ...] = ("unix", "tcp", "file")
    crashes: bool = False     # the guest boots again
    boots: bool = False       # the guest may still be booting when it arrives
    small_disk: bool = False  # it comes at an amount of data, not at a time
    ends_with_return_path: tuple[str, ...] = ()  # more of them, where the destination answers the source


def cancel(scene: Scene) -> None:
    """The operator changes his mind.

    With a return path, as postcopy has one, the migration may say "failed" then, without the filter, too: QEMU
    shuts the return path's socket down before it sets the state, and the thread that sends
    may see its own end of that socket broken in between.
    """
    scene.source.qmp.execute("migrate_cancel")


def kill_destination(scene: Scene) -> None:
    """The destination's QEMU ends without a word."""
    scene.destination.end()


def pause_network(scene: Scene) -> None:
    """The cable is out for some time, and the migration goes on."""
    scene.network.cut(scene.host)
    time.sleep(scene.length)
    scene.network.join(scene.host)


def cut_network(scene: Scene) -> None:
    """The cable is out until the operator gives up: TCP would wait for many minutes.

    He gives up with "yank", because "migrate_cancel" does not do. In QEMU 10.0 it shuts
    down the first channel only: with multifd the migration goes on waiting for another
    one. And while QEMU throttles, a timer of the main loop syncs the bitmap and waits for
    its lock, which the sending thread holds: only commands out of band are read then.
    """
    scene.network.cut(scene.host)
    time.sleep(scene.length)
    try:
        scene.source.qmp.execute_out_of_band("yank", instances=[{"type": "migration"}])
    except LabError:
        if not scene.over():
            raise
    while not scene.over():
        time.sleep(0.05)
    scene.network.join(scene.host)


def reboot_guest(scene: Scene) -> None:
    """The guest reboots while it is migrated."""
    for machine in (scene.source, scene.destination):
        machine.let_reboot(True)
    scene.source.qmp.execute("system_reset")


def crash_guest(scene: Scene) -> None:
    """The guest's kernel panics and stands still."""
    scene.source.port.tell("crash")
    wait_crashed([scene.source], scene.over)


def fill_disk(_scene: Scene) -> None:
    """It fills by itself: see make_small_disk()."""


def make_small_disk(directory: Path, mib: int) -> Path:
    """A place for a file of so many MiB at most."""
    place = directory / "disk"
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={max(mib, MIN_DISK_MIB)}m", "tmpfs", place], check=True)
    return place


def remove_small_disk(place: Path) -> None:
    """Unmount it, with what is on it."""
    subprocess.run(["umount", place], check=True)


# A failure that comes when all is done changes nothing, so each may end in success.
FAILURES = {failure.name: failure for failure in (
    Failure("cancel", ("cancelled", "completed"), cancel, ends_with_return_path=("failed",)),
    Failure("destination-killed", ("failed", "completed"), kill_destination, ("unix", "tcp")),
    Failure("network-paused", ("completed",), pause_network, ("tcp",)),
    Failure("network-cut", ("failed", "completed"), cut_network, ("tcp",)),
    Failure("reboot", ("completed",), reboot_guest, boots=True),
    Failure("crash", ("completed",), crash_guest, crashes=True),
    Failure("disk-full", ("failed",), fill_disk, ("file",), small_disk=True),
)}
