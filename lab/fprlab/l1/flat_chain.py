# SPDX-License-Identifier: GPL-2.0-only
"""A chain of flat snapshots, a full one and many diffs, of one guest that goes on.

After the full snapshot and after each diff the guest stands still until it was compared with what the files of the
chain so far have, laid over each other here, and after the last one with a guest that was restored from them.  Where
the plan wants it, a guest is restored after each, compared, and has to verify its memory.
Where the chain is filtered by one command with the snapshot, a copy of it is punched as it grows: with the pages
of each round all layers before that round's diff.  What it is compared with there is the same guest.  So of each
prefix two claims are checked: the chain that nobody punched has it, and so has one that was punched for no later
prefix.  An earlier one a punched chain does not have any more, see Documentation/operator/snapshots.rst.
"""

import contextlib
import dataclasses
import errno
import functools
import json
import operator
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..common import wire
from ..common.errors import LabError, LostPages
from ..common.names import CHAIN_DIFFS
from ..common.snapshot_tools import SNAPSHOT_TIMEOUT, Tools
from .agents.recorder import Recorder
from .kvm_stats import mount_debugfs
from .ram import CHUNK, PAGE, ChunkReader, GuestRam, differing_in, differing_pages
from .snapshots import BEATS_BETWEEN, Machines, check_running, compare, filter_pages, told_on_error
from .snapvmm import Snapvmm, boot_arguments, memory_file, restore_arguments
from .stage import Stage, time_limit

BEATS_BEFORE = 5


@dataclasses.dataclass(frozen=True)
class ChainPlan:
    """Which chain to make of which guest, in which of CHAIN_WAYS."""

    workload: str
    way: str
    guest_mib: int
    repeat: int = 1
    diffs: int = CHAIN_DIFFS
    timeout: int = SNAPSHOT_TIMEOUT  # seconds without progress
    prefixes: bool = False  # restore and verify each prefix of the chain, not all of it alone

    def label(self) -> str:
        """What the run is called in lines of progress."""
        return f"{self.workload}, chain, {self.way}"


@dataclasses.dataclass
class Times:
    """What was measured of each diff, in milliseconds."""

    filter_ms: list[int] = dataclasses.field(default_factory=list)
    snapshot_ms: list[int] = dataclasses.field(default_factory=list)


def extents(fd: int, first: int = 0, limit: int = sys.maxsize) -> Iterator[tuple[int, int]]:
    """Where the parts of a flat file begin and end that have data, between these two places."""
    end = first
    while end < limit:
        try:
            start = os.lseek(fd, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # there is no more
                return
            raise
        if start >= limit:
            return
        end = min(os.lseek(fd, start, os.SEEK_HOLE), limit)
        yield start, end


def data_pages(file: Path) -> int:
    """Bit n: a flat file has data for page n."""
    pages = 0
    with file.open("rb") as flat:
        for start, end in extents(flat.fileno()):
            first = start // PAGE
            pages |= (1 << -(-end // PAGE) - first) - 1 << first
    return pages


def copy_flat(file: Path, target: Path) -> None:
    """Holes stay holes and data stays data: cp makes a hole of a page of zeros, and then an older file's page is seen."""
    with file.open("rb") as flat, target.open("wb") as copy:
        copy.truncate(os.fstat(flat.fileno()).st_size)
        for start, end in extents(flat.fileno()):
            while start < end:
                start += os.copy_file_range(flat.fileno(), copy.fileno(), end - start, start, start)


class Layers:
    """What a guest's memory is when these flat files were loaded, one after the other. It is read in parts: all of it
    at once would be one more large guest in the host's memory."""

    def __init__(self, files: list[Path]) -> None:
        self._stack = contextlib.ExitStack()
        self._files = [self._stack.enter_context(memory_file(file).open("rb")).fileno() for file in files]

    def close(self) -> None:
        """Close the files."""
        self._stack.close()

    def read(self, offset: int, buffer: bytearray) -> None:
        """Fill the buffer with the part there; what no file has is zero."""
        buffer[:] = bytes(len(buffer))
        view = memoryview(buffer)
        for file in self._files:
            for start, end in extents(file, offset, offset + len(buffer)):
                while start < end:
                    start += os.preadv(file, [view[start - offset:end - offset]], start)


def allocated(files: list[Path]) -> list[int]:
    """The bytes on disk of the flat files of these snapshots."""
    return [memory_file(file).stat().st_blocks * 512 for file in files]


def has_page(pages: int, count: int) -> Callable[[int], bool]:
    """Whether a page is among these, of so many, looked up fast."""
    data = pages.to_bytes(count // 8 + 1, "little")
    return lambda page: bool(data[page // 8] >> page % 8 & 1)


def compare_layers(ram: GuestRam, chains: list[Layers], dropped: Callable[[int], bool]) -> list[int]:
    """In how many pages each of these differs from a guest that stands still. Each must have been dropped."""
    differing: list[list[int]] = [[] for _ in chains]
    reader, buffer = ChunkReader(ram), bytearray(CHUNK)
    try:
        for offset in range(0, ram.size, CHUNK):
            reader.read(offset)
            for layers, pages in zip(chains, differing):
                layers.read(offset, buffer)
                pages += [offset // PAGE + page for page in differing_in(reader.buffer, buffer)]
    finally:
        reader.close()
    for pages in differing:
        if lost := [page for page in pages if not dropped(page)]:
            raise LostPages(len(lost), f"{len(lost)} of {len(pages)} pages in which the files differ from the guest were "
                                       f"not dropped; the first is {lost[0]:#x}")
    return list(map(len, differing))


class FlatChain(Machines):
    """The chain, and what it was made of."""

    def __init__(self, plan: ChainPlan, tools: Tools, directory: Path, stack: contextlib.ExitStack) -> None:
        super().__init__(tools, directory, stack)
        self._plan = plan
        self.files: list[Path] = []
        self.punched: list[Path] = []  # copies
        self.times = Times()
        self.filtered_pages: list[int] = []
        self.punched_pages: list[int] = []
        self.differing_pages: list[int] = []
        self.verified_pages: list[int] = []
        self.used_again_pages: list[int] = []  # that the guest had reported free, and that the diff taken next has
        self.verified_prefixes = 0  # guests that were restored from a prefix, and had to verify their memory
        self._reported = 0  # bit n: the last report named page n
        self._may_differ = [0]  # of each layer, bit n: the chain up to it need not have page n

    def _file(self) -> Path:
        file = self._directory / f"layer{len(self.files)}"
        self.files.append(file)
        return file

    def _confirmed(self, number: int) -> Path:
        return self._directory / f"confirmed{number}"

    def begin(self, vmm: Snapvmm) -> None:
        """The full snapshot of a guest that stands still."""
        vmm.full(self._file())
        if self._plan.way == "exec":
            mount_debugfs()  # fprctl filter --confirmed looks there whether anybody has read the log
            self._copy_last()

    def _copy_last(self) -> None:
        """Add a copy of the last layer to the chain that is punched."""
        directory = self._directory / "punched"
        directory.mkdir(exist_ok=True)
        self.punched.append(directory / self.files[-1].name)
        shutil.copy(self.files[-1], directory)
        copy_flat(memory_file(self.files[-1]), memory_file(self.punched[-1]))

    def _filter(self, vmm: Snapvmm, recorder: Recorder, command: list[str]) -> None:
        """Filter, in this chain's way, and take the snapshot."""
        if self._plan.way == "exec":
            confirmed = ("--confirmed", str(self._confirmed(len(self.files) - 1)))
            self.filtered_pages.append(filter_pages(self._tools, vmm.pid, recorder,
                                                    more=(*confirmed, "--exec", *command)))
            return
        if self._plan.way == "apart":
            self.filtered_pages.append(filter_pages(self._tools, vmm.pid, recorder))
        subprocess.run(command, check=True)

    def take(self, vmm: Snapvmm, recorder: Recorder) -> None:
        """The next diff, after which the guest stands still."""
        file, times = self._file(), self._directory / "times"
        start = time.clock_gettime(time.CLOCK_BOOTTIME)
        self._filter(vmm, recorder, vmm.diff_command(file, times))
        begun, ended = (float(text) for text in times.read_text(encoding="ascii").split())
        if self._plan.way != "plain":
            self.times.filter_ms.append(max(round((begun - start) * 1000), 0))
        self.times.snapshot_ms.append(round((ended - begun) * 1000))
        self._find_what_may_differ(recorder)
        if self._plan.way == "exec":
            self._copy_last()
            self._punch()

    def _find_what_may_differ(self, recorder: Recorder) -> None:
        """What was filtered or is disposable, and was in no diff since."""
        may_differ, data = self._may_differ[-1], data_pages(memory_file(self.files[-1]))
        self._reported = recorder.last
        if self._plan.way != "plain":
            self.used_again_pages.append((self._reported & data).bit_count())
        if self._plan.way == "exec":
            confirmed = wire.decode(self._confirmed(len(self.files) - 1).read_bytes()).free
            if confirmed & ~recorder.last:
                raise LabError("fprctl confirms pages that the guest did not report")
            may_differ |= confirmed
        elif self._plan.way == "apart":
            may_differ |= recorder.last
        self._may_differ.append(may_differ & ~data)

    def _punch(self) -> None:
        """Punch all layers before the last one, with the pages of the last round."""
        pages = 0
        for layer in self.punched[:-1]:
            run = subprocess.run(
                [str(self._tools.fprctl / "fprctl"), "punch", memory_file(layer), "--json",
                 "--pages", self._confirmed(len(self.punched) - 1), "--map", f"0:0:{self._plan.guest_mib}M",
                 "--unless-data", memory_file(self.punched[-1])], capture_output=True, text=True, check=False)
            if run.returncode:
                raise LabError(f"fprctl punch: {run.stderr.strip()}")
            pages += json.loads(run.stdout)["punched_pages"]
        self.punched_pages.append(pages)

    def _chains(self) -> list[list[Path]]:
        """The files of the chain, and the punched ones if there are any."""
        return [self.files, *[self.punched] * bool(self.punched)]

    def compare_files(self, original: Snapvmm) -> None:
        """Compare what the files have with the guest that stands still. To restore a guest of each prefix takes an
        emulated host minutes more."""
        with contextlib.ExitStack() as stack:
            chains = [stack.enter_context(contextlib.closing(Layers(files))) for files in self._chains()]
            self.differing_pages += compare_layers(original.ram(), chains, self._may_differ_in(len(self.files) - 1))

    def compare(self, original: Snapvmm, verify: bool = False) -> None:
        """Restore all that there is by now, and compare it with the guest that stands still; then let the restored one
        go on and check its memory twice, if that is wanted."""
        for files in self._chains():
            vmm = self.start(restore_arguments(files))
            self.differing_pages.append(compare(original, vmm, self._may_differ_in(len(self.files) - 1)))
            if verify:
                self.verified_pages += [check.pages for check in check_running(vmm)]
                self.verified_prefixes += 1
            vmm.end()

    def check(self, original: Snapvmm) -> None:
        """All that is to be checked of the chain as it is by now."""
        self.compare_files(original)
        if self._plan.prefixes or len(self.files) > self._plan.diffs:
            self.compare(original, self._plan.prefixes)

    def _may_differ_in(self, number: int) -> Callable[[int], bool]:
        """Whether the chain up to that layer need not have a page."""
        return has_page(self._may_differ[number], self._plan.guest_mib << 8)

    def needless_pages(self) -> dict[str, int]:
        """What the punched chain has and a guest that is restored from all of it does not need: older copies of
        pages that a later layer has, too, and pages that the last report named, which the guest had used
        again by the last diff, or which were in it for another reason."""
        layers = [data_pages(memory_file(file)) for file in self.punched]
        pages = functools.reduce(operator.or_, layers)
        return {"superseded_pages": sum(layer.bit_count() for layer in layers) - pages.bit_count(),
                "free_pages": (pages & self._reported).bit_count()}

    def given_up(self, number: int) -> int:
        """How many pages that a guest needs are missing when it is restored from the punched chain up to that layer,
        which was punched for later ones."""
        whole, punched = (self.start(restore_arguments(files[:number + 1])) for files in (self.files, self.punched))
        need_not = self._may_differ_in(number)
        pages = [page for page in differing_pages(whole.ram(), punched.ram()) if not need_not(page)]
        whole.end()
        punched.end()
        return len(pages)

    def verify_lazily(self, files: list[Path]) -> int:
        """Let a guest go on whose pages are read when it needs them, and check its memory twice; how many pages were
        read until it had checked it once."""
        vmm = self.start(restore_arguments(files, lazy=True))
        loaded: list[int] = []
        self.verified_pages += [check.pages for check in check_running(vmm, lambda: loaded.append(vmm.loaded()))]
        vmm.end()
        return loaded[0]


def result_of(plan: ChainPlan, chain: FlatChain, **more: Any) -> dict[str, Any]:
    """The result of a chain, for lab/snapshot."""
    return {"workload": plan.workload, "repeat": plan.repeat, "way": plan.way, "guest_mib": plan.guest_mib,
            "verified": True, "allocated_bytes": allocated(chain.files), "punched_bytes": allocated(chain.punched),
            "filtered_pages": chain.filtered_pages, "used_again_pages": chain.used_again_pages,
            "punched_pages": chain.punched_pages, "differing_pages": chain.differing_pages,
            "verified_pages": chain.verified_pages, "verified_prefixes": chain.verified_prefixes,
            **dataclasses.asdict(chain.times), **more}


def end_chain(plan: ChainPlan, chain: FlatChain, live: int) -> dict[str, Any]:
    """Verify a guest that is restored from the whole chain, the punched one if there is one, and look at a prefix that
    that does not have any more; the result."""
    more = {"live_bytes": live, "pages_read": chain.verify_lazily(chain.punched or chain.files)}
    if chain.punched:
        more |= {"given_up_pages": chain.given_up(plan.diffs // 2), **chain.needless_pages()}
    return result_of(plan, chain, **more)


@contextlib.contextmanager
def staged(plan: ChainPlan, machines: Machines, show: Callable[[str], None]) -> Iterator[Stage]:
    """A stage that ends what makes no progress, and shows what guests said when something goes wrong."""
    stage = Stage(plan.label(), show)
    with time_limit(plan.timeout, stage), \
            told_on_error(lambda: stage.note(f"; guests said last: {machines.last_lines()}")):
        yield stage
        machines.check_consoles()


def boot(plan: ChainPlan, tools: Tools, directory: Path, show: Callable[[str], None]) -> Path:
    """A snapshot of a guest whose workload is in its steady state: chains in all ways begin with the same one."""
    file = directory / "start"
    with contextlib.ExitStack() as stack:
        machines = Machines(tools, directory, stack)
        with staged(plan, machines, show) as stage:
            stage.enter("booting")
            vmm = machines.start(boot_arguments(tools.guest, plan.workload, plan.guest_mib))
            vmm.resume()
            vmm.port.wait_for("ready")
            vmm.pause()
            vmm.snapshot(file)
    return file


def wait_beats(vmm: Snapvmm, beats: int) -> None:
    """Let the guest go on for so many checks of its memory."""
    vmm.resume()
    for _ in range(beats):
        vmm.port.wait_beat()


def run_chain(plan: ChainPlan, start: Path, tools: Tools, directory: Path, show: Callable[[str], None]) -> dict[str, Any]:
    """Take and verify a chain of the guest that boot() has left; LabError if anything at all is wrong."""
    with contextlib.ExitStack() as stack:
        chain = FlatChain(plan, tools, directory, stack)
        with staged(plan, chain, show) as stage:
            stage.enter("restoring")
            vmm = chain.start(restore_arguments([start]))
            recorder = chain.recorder(vmm)
            # In a restored guest a page is dirty when it is read for the first time: that is to be over.
            wait_beats(vmm, BEATS_BEFORE)
            vmm.pause()
            chain.begin(vmm)
            stage.enter("comparing the full file")
            chain.check(vmm)
            for number in range(plan.diffs):
                wait_beats(vmm, BEATS_BETWEEN)
                live = vmm.port.needed_bytes()
                chain.take(vmm, recorder)
                stage.enter(f"comparing diff {number + 1}")
                chain.check(vmm)
            vmm.end()
            stage.enter("verifying restored guests")
            result = end_chain(plan, chain, live)
            stage.enter(f"verified; {sum(result['allocated_bytes']) >> 20} MiB on disk, "
                        f"{sum(result['punched_bytes']) >> 20} punched, {live >> 20} needed")
    return result
