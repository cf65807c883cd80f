# SPDX-License-Identifier: GPL-2.0-only
"""QEMUs without a guest's system: a boot sector that writes to some pages, and an agent in
this process that answers for it. Where only QEMU's own part is looked at, that is enough."""

import contextlib
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Iterator, Optional, Sequence

from ..common import wire
from ..common.errors import LabError
from .agents.server import AgentServer
from .qmp import Qmp
from .waiting import wait_until

MIB = 1 << 20
GIB = 1 << 30
MEMORY_MIB = 192
PAGE = 4096
SECTOR = 512
# Real mode: increment a byte in each page of [0x10000, 0x90000), in an endless loop.
WRITER = bytes.fromhex(
    "b80010"    # mov ax, 0x1000
    "8ed8"      # mov ds, ax
    "fe060000"  # inc byte [0]
    "050001"    # add ax, 0x100
    "3d0090"    # cmp ax, 0x9000
    "72f2"      # jb to the second
    "ebed")     # jmp to the first
WRITTEN = 0x10000  # the first of these pages
WRITTEN_PAGES = 128
SIGNATURE = 0x55AA
ENDED = ("completed", "failed", "cancelled")
FILTER = "free-page-filter"
STRICT = "free-page-filter-strict"
# No page is sent before the first report, however busy the machine is. It is the longest that QEMU waits, in ms.
REPORT = {"qom_type": "free-page-agent", "id": "report0", "chardev": "agent", "wait-first-report": 10000}
# Bytes per second with which no migration ends by itself, however busy the machine is: it takes minutes.
SLOW = 4 << 10
EVENTS = ("migration_request_pass", "migrate_pending_exact", "migration_thread_low_pending")


class LyingAgent(AgentServer):
    """It says that all memory from 128 MiB on, up to 4 GiB, is free. What the firmware needs is below."""

    def __init__(self, path: Path) -> None:
        self.delay = 0.0  # seconds before each answer
        self._hold = False
        self.in_the_middle = threading.Event()
        self.go_on = threading.Event()
        super().__init__(path, self._lie)

    def hold(self) -> None:
        """From now on, stop in the middle of each report until told to go on."""
        self._hold = True

    def _lie(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while request := connection.recv(wire.REQUEST_LEN, socket.MSG_WAITALL):
                time.sleep(self.delay)
                report = wire.all_free(wire.decode_request(request), 4 * GIB // PAGE, wire.CHUNK_PAGES)
                if self._hold:
                    connection.sendall(report[:len(report) // 2])
                    report = report[len(report) // 2:]
                    self.in_the_middle.set()
                    self.go_on.wait()
                connection.sendall(report)


def boot_sector() -> bytes:
    """A disk that the firmware boots."""
    return (WRITER.ljust(SECTOR - 2, b"\0") + struct.pack(">H", SIGNATURE)).ljust(MIB, b"\0")


class Bare:
    """One of them, with KVM, whose migrations filter. Its directory is made; there may be an agent at its path
    "agent"."""

    def __init__(self, qemu: Path, directory: Path, *arguments: str) -> None:
        directory.mkdir(exist_ok=True)
        self.directory = directory
        self.agent: Optional[LyingAgent] = None
        (directory / "disk").write_bytes(boot_sector())
        self._stderr = directory / "stderr"
        with self._stderr.open("wb") as stderr:
            self._process = subprocess.Popen(
                [str(qemu / "qemu-system-x86_64"), "-nodefaults", "-no-user-config", "-display", "none",
                 "-L", str(qemu / "pc-bios"), "-accel", "kvm", "-cpu", "host,-xsave,-svm,-vmx",
                 "-m", f"{MEMORY_MIB}M", "-drive", f"file={directory}/disk,format=raw,if=ide",
                 "-object", "iothread,id=io0", "-qmp", f"unix:{directory}/qmp,server=on,wait=off",
                 *(word for event in EVENTS for word in ("-trace", f"enable={event}")),
                 "-trace", f"file={directory}/trace",
                 *arguments],
                stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr)
        wait_until("QEMU has a monitor", lambda: (directory / "qmp").exists() or not self.alive())
        if not self.alive():
            raise LabError(f"QEMU did not start: {self.said()}")
        try:
            self.qmp = Qmp(str(directory / "qmp"))
        except OSError as error:
            raise LabError(f"QEMU did not start: {error}; {self.said()}") from error
        self.set(**{FILTER: True})

    def set(self, **capabilities: bool) -> None:
        """Set capabilities of the next migration."""
        self.qmp.execute("migrate-set-capabilities", capabilities=[
            {"capability": name, "state": state} for name, state in capabilities.items()])

    def alive(self) -> bool:
        """Whether QEMU runs."""
        return self._process.poll() is None

    def status_of_end(self) -> Optional[int]:
        """QEMU's exit status, None while it runs."""
        return self._process.poll()

    def said(self) -> str:
        """All of stderr."""
        return self._stderr.read_text(errors="replace").strip() or "it says nothing"

    def end(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()

    def memory(self, address: int, size: int) -> bytes:
        """Read guest-physical memory."""
        path = self.directory / "memory"
        self.qmp.execute("pmemsave", val=address, size=size, filename=str(path))
        return path.read_bytes()

    def wait_written(self) -> None:
        """Wait until the boot sector writes to its pages."""
        first = self.memory(WRITTEN, 1)
        wait_until("the boot sector writes", lambda: self.memory(WRITTEN, 1) != first)

    def status(self) -> str:
        """The migration's status, "" if there was none."""
        return self.qmp.execute("query-migrate").get("status", "")

    def migrate(self, uri: str = "exec:cat > /dev/null") -> dict[str, Any]:
        """Migrate, which must succeed; returns what query-migrate says then."""
        self.qmp.execute("migrate", uri=uri)
        wait_until("the migration has ended", lambda: self.status() in ENDED)
        info = self.qmp.execute("query-migrate")
        if info["status"] != "completed":
            raise LabError(f"the migration has {info['status']}: {info.get('error-desc', 'no reason given')}")
        return info

    def limit(self, bandwidth: int) -> None:
        """Bytes per second of the migration that goes on, or of the next; 0 for no limit."""
        self.qmp.execute("migrate-set-parameters", max_bandwidth=bandwidth)

    def begin_slowly(self) -> None:
        """Begin a migration that sends next to nothing until it is given another limit."""
        self.limit(SLOW)
        self.qmp.execute("migrate", uri="exec:cat > /dev/null")

    def events(self) -> list[str]:
        """The names of the trace events so far, in order."""
        lines = (self.directory / "trace").read_text(errors="replace").splitlines()
        return [name for line in lines for name in EVENTS if f":{name} " in line or line.startswith(f"{name} ")]


@contextlib.contextmanager
def bare(qemu: Path, directory: Path, *arguments: str, agent: bool = True) -> Iterator[Bare]:
    """A QEMU, and its agent, which both end with the block."""
    directory.mkdir()
    liar = LyingAgent(directory / "agent") if agent else None
    extra: Sequence[str] = ("-chardev", f"socket,id=agent,path={directory}/agent") if agent else ()
    machine = None
    try:
        machine = Bare(qemu, directory, *extra, *arguments)
        machine.agent = liar
        yield machine
    except (LabError, OSError) as error:
        raise LabError(f"{error}; QEMU's status {machine and machine.status_of_end()}, {machine and machine.said()}"
                       ) from error
    finally:
        if machine:
            machine.end()
        if liar:
            liar.go_on.set()
            liar.end()

