# SPDX-License-Identifier: GPL-2.0-only
"""What a guest's memory may be made of, as features like those of feature.py, each with a
look at whether it was."""

import contextlib
import re
from pathlib import Path
from typing import Any, Iterator, Sequence

from ...common.errors import LabError
from ..drop_trace import dropped_pages
from ..qmp import Qmp
from ..ram import find_ram
from ..waiting import wait_until
from .feature import Ends, Feature, Side
from .holding import HELD, let_go, wait_held
from .sending import reports

MIB = 1 << 20
HUGE = 2 * MIB
HUGE_PAGES = 512  # pages of a huge page
NR_HUGEPAGES = Path("/proc/sys/vm/nr_hugepages")
MAKING_ROOM = (Path("/proc/sys/vm/drop_caches"), Path("/proc/sys/vm/compact_memory"))
THP = Path("/sys/kernel/mm/transparent_hugepage/enabled")
SHARED_FILE = Path("/dev/shm/fpr-ram")

DIMM_MIB = 256
VIRTIO_MEM_MIB = 512
VIRTIO_MEM_BEFORE, VIRTIO_MEM_AFTER = 256 * MIB, 384 * MIB
VIRTIO_MEM_SHRUNK, VIRTIO_MEM_LEAST = 128 * MIB, 64 * MIB
ONLINE = "memhp_default_state=online"
# The guest can always give such memory back.
ONLINE_MOVABLE = "memhp_default_state=online_movable"


def filter_info(qmp: Qmp) -> dict[str, Any]:
    """What query-migrate says of the filter."""
    return qmp.execute("query-migrate").get("free-page-filter", {})


def mapping_kib(side: Side, *keys: str) -> int:
    """Figures of the mapping that is the first of the guest's RAM, from smaps."""
    ram = find_ram(side.qmp, side.pid, 1)
    total, inside = 0, False
    for line in Path(f"/proc/{side.pid}/smaps").read_text(encoding="ascii", errors="replace").splitlines():
        if match := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
            inside = int(match[1], 16) <= ram.address < int(match[2], 16)
        elif inside and line.split(":")[0] in keys:
            total += int(line.split()[1])
    return total


@contextlib.contextmanager
def reserved_huge_pages(_directory: Path, guest_mib: int, _programs: Path) -> Iterator[None]:
    """Reserve huge pages for both ends."""
    wanted = 2 * guest_mib * MIB // HUGE
    for room in MAKING_ROOM:
        room.write_text("1\n", encoding="ascii")
    NR_HUGEPAGES.write_text(f"{wanted}\n", encoding="ascii")
    try:
        if int(NR_HUGEPAGES.read_text(encoding="ascii")) < wanted:
            raise LabError(f"the host has no {wanted} huge pages left")
        yield
    finally:
        NR_HUGEPAGES.write_text("0\n", encoding="ascii")


def check_whole_pages(qmp: Qmp) -> None:
    """As long as nothing was sent, for which it takes patience, a host page has none or
    all of its pages dropped."""
    if reports(qmp):
        wait_held(qmp, "the first report has come", lambda: filter_info(qmp).get("reports"))
        dropped = filter_info(qmp)["dropped-pages"]
        if not dropped or dropped % HUGE_PAGES:
            raise LabError(f"{dropped} pages were dropped, which are no whole huge pages")
    let_go(qmp)


def check_huge_pages(ends: Ends) -> str:
    """The destination has fewer huge pages: those that were dropped as a whole were never made there."""
    source, destination = (mapping_kib(side, "Shared_Hugetlb", "Private_Hugetlb") * 1024 // HUGE
                           for side in (ends.source, ends.destination))
    if not 0 < destination < source:
        raise LabError(f"the source has {source} huge pages and the destination {destination}")
    return f"{source} huge pages at the source, {destination} at the destination"


@contextlib.contextmanager
def always_thp(_directory: Path, _guest_mib: int, _programs: Path) -> Iterator[None]:
    """Anonymous memory comes in huge pages wherever it can."""
    before = re.search(r"\[(\w+)\]", THP.read_text(encoding="ascii"))
    assert before
    THP.write_text("always", encoding="ascii")
    try:
        yield
    finally:
        THP.write_text(before[1], encoding="ascii")


def check_thp(ends: Ends) -> str:
    """The guest's memory was made of transparent huge pages."""
    mib = mapping_kib(ends.source, "AnonHugePages") >> 10
    if not mib:
        raise LabError("the guest has no transparent huge page")
    return f"{mib} MiB of transparent huge pages at the source"


def refused(qmp: Qmp, words: str, command: str, **arguments: Any) -> None:
    """QEMU refuses a command, with these words."""
    try:
        qmp.execute(command, **arguments)
    except LabError as error:
        if words not in str(error):
            raise
    else:
        raise LabError(f"QEMU took {command} during a migration, and was to say: {words}")


def dimm_arguments(_directory: Path, incoming: bool) -> Sequence[str]:
    """The DIMM that the source gets later is there from the start on the destination."""
    if not incoming:
        return ()
    return ("-object", f"memory-backend-ram,id=dimm-ram,size={DIMM_MIB}M",
            "-device", "pc-dimm,id=dimm,memdev=dimm-ram")


def plug_dimm(source: Side) -> None:
    """Plug it before the migration, and wait until the guest has taken it."""
    free = source.port.free_bytes()[0]
    source.qmp.execute("object-add", qom_type="memory-backend-ram", id="dimm-ram", size=DIMM_MIB * MIB)
    source.qmp.execute("device_add", driver="pc-dimm", id="dimm", memdev="dimm-ram")
    wait_until("the guest has the DIMM's memory",
               lambda: source.port.free_bytes()[0] > free + DIMM_MIB * MIB // 2)


def plug_another(qmp: Qmp) -> None:
    """QEMU takes the memory for another DIMM, but no DIMM, and does not give up the first."""
    qmp.execute("object-add", qom_type="memory-backend-ram", id="late-ram", size=DIMM_MIB * MIB)
    refused(qmp, "device_add not allowed while migrating",
            "device_add", driver="pc-dimm", id="late", memdev="late-ram")
    refused(qmp, "device_del not allowed while migrating", "device_del", id="dimm")


def check_blocks_dropped(ends: Ends) -> str:
    """Pages of the device's block were dropped, too."""
    device, = ends.source.qmp.execute("query-memory-devices")
    address = device["data"].get("addr", device["data"].get("memaddr"))
    block = find_ram(ends.source.qmp, ends.source.pid, 1, address).block
    with (ends.source.directory / "trace").open(encoding="utf-8", errors="replace") as trace:
        pages = len(dropped_pages(trace, block))
    if not pages:
        raise LabError(f"no page of {block} was ever confirmed")
    return f"{pages} pages confirmed in {block}"


def virtio_mem_arguments(_directory: Path, _incoming: bool) -> Sequence[str]:
    """A device whose guest is asked to take half of it."""
    return ("-object", f"memory-backend-ram,id=vmem-ram,size={VIRTIO_MEM_MIB}M",
            "-device", f"virtio-mem-pci,id=vmem,memdev=vmem-ram,requested-size={VIRTIO_MEM_BEFORE}")


def virtio_mem_data(qmp: Qmp) -> dict[str, Any]:
    """How large the virtio-mem device is, and how large it was asked to be."""
    device, = qmp.execute("query-memory-devices")
    return device["data"]


def wait_virtio_mem(source: Side) -> None:
    """Wait until the guest has taken the device's memory."""
    wait_until("the guest has taken the virtio-mem device's memory",
               lambda: virtio_mem_data(source.qmp)["size"] == VIRTIO_MEM_BEFORE)


def ask_virtio_mem(qmp: Qmp, size: int) -> None:
    """Ask the guest for another size, in bytes, of the device's memory."""
    qmp.execute("qom-set", path="/machine/peripheral/vmem", property="requested-size", value=size)


def shrink_virtio_mem(source: Side) -> None:
    """Wait until the guest has taken the device's memory, and has given half of it back."""
    wait_virtio_mem(source)
    ask_virtio_mem(source.qmp, VIRTIO_MEM_SHRUNK)
    wait_until("the guest has given back half of the virtio-mem device's memory",
               lambda: virtio_mem_data(source.qmp)["size"] == VIRTIO_MEM_SHRUNK)


def grow_on(qmp: Qmp) -> None:
    """The guest is asked for more, and told to wait while the migration goes on."""
    ask_virtio_mem(qmp, VIRTIO_MEM_AFTER)


def shrink_on(qmp: Qmp) -> None:
    """The guest is asked to give more back, and told to wait while the migration goes on."""
    ask_virtio_mem(qmp, VIRTIO_MEM_LEAST)


def check_virtio_mem(ends: Ends, size: int, requested: int) -> str:
    """The device has the size from before the migration, and the destination knows what was asked."""
    for side in (ends.source, ends.destination):
        data = virtio_mem_data(side.qmp)
        if (data["size"], data["requested-size"]) != (size, requested):
            raise LabError(f"virtio-mem has {data['size'] >> 20} MiB and was asked for "
                           f"{data['requested-size'] >> 20} on the {side.directory.name}")
    return f"asked for {requested >> 20} MiB during the migration, it waits; {check_blocks_dropped(ends)}"


def check_grown(ends: Ends) -> str:
    """The device did not grow."""
    return check_virtio_mem(ends, VIRTIO_MEM_BEFORE, VIRTIO_MEM_AFTER)


def check_shrunk(ends: Ends) -> str:
    """The device is as small as it was made before."""
    return check_virtio_mem(ends, VIRTIO_MEM_SHRUNK, VIRTIO_MEM_LEAST)


def dynamic_memslots_arguments(directory: Path, incoming: bool) -> Sequence[str]:
    """The same device, of which KVM has only what the guest took, in memslots that come and go."""
    return [f"{argument},dynamic-memslots=on" if argument.startswith("virtio-mem-pci") else argument
            for argument in virtio_mem_arguments(directory, incoming)]


@contextlib.contextmanager
def shared_file(_directory: Path, _guest_mib: int, _programs: Path) -> Iterator[None]:
    """A file that both ends map."""
    SHARED_FILE.unlink(missing_ok=True)
    try:
        yield
    finally:
        SHARED_FILE.unlink(missing_ok=True)


def check_ignored(ends: Ends) -> str:
    """Nothing of the RAM was sent, and nothing was dropped from what is not sent."""
    counters = ends.info.get("free-page-filter", {})
    sent = ends.info["ram"]["transferred"]
    if counters.get("dropped-pages") or sent > 16 * MIB:
        raise LabError(f"{sent} bytes sent and {counters.get('dropped-pages')} pages dropped of memory that is shared")
    with (ends.source.directory / "trace").open(encoding="utf-8", errors="replace") as trace:
        if dropped_pages(trace, find_ram(ends.source.qmp, ends.source.pid, 1).block):
            raise LabError("pages of shared memory are said to be dropped")
    return f"{sent >> 10} KiB sent, {counters.get('confirmed-pages')} pages confirmed, none dropped"


MEMORY_FEATURES = {feature.name: feature for feature in (
    Feature("hugetlb", backend=f"memory-backend-memfd,hugetlb=on,hugetlbsize={HUGE}", around=reserved_huge_pages,
            parameters=HELD, during=check_whole_pages, loaded=check_huge_pages),
    Feature("thp", around=always_thp, loaded=check_thp),
    Feature("pc-dimm", memory=",slots=4,maxmem=4G", arguments=dimm_arguments, append=ONLINE, ready=plug_dimm,
            during=plug_another, loaded=check_blocks_dropped),
    Feature("virtio-mem", memory=",slots=4,maxmem=4G", arguments=virtio_mem_arguments,
            append=ONLINE, modules=("virtio_mem",), ready=wait_virtio_mem, during=grow_on,
            loaded=check_grown),
    Feature("virtio-mem-shrinks", memory=",slots=4,maxmem=4G", arguments=dynamic_memslots_arguments,
            append=ONLINE_MOVABLE, modules=("virtio_mem",), ready=shrink_virtio_mem, during=shrink_on,
            loaded=check_shrunk),
    Feature("ignore-shared", backend=f"memory-backend-file,share=on,mem-path={SHARED_FILE}", around=shared_file,
            capabilities=("x-ignore-shared",), loaded=check_ignored),
)}
