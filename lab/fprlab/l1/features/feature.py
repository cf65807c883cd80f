# SPDX-License-Identifier: GPL-2.0-only
"""What a migration can be done with besides the filter: what it brings, and when it looks."""

import contextlib
import dataclasses
from pathlib import Path
from typing import Any, Callable, ContextManager, Mapping, Optional, Protocol, Sequence

from ..guest_port import GuestPort
from ..qmp import Qmp


class Side(Protocol):
    """One end of a migration, as fprlab.l1.guest_qemu.GuestQemu is."""

    directory: Path
    pid: int
    qmp: Qmp
    port: GuestPort


@dataclasses.dataclass(frozen=True)
class Ends:
    """Both ends of a migration, and what query-migrate says when it has ended."""

    source: Side
    destination: Side
    info: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Postcopy:
    """How a migration goes over to postcopy."""

    moment: str  # "start", "report" (once pages were dropped, if there is a filter), "rounds" (a few) or "any"
    runs: bool = False    # the guest goes on at the destination at once, while its memory comes
    touches: bool = False  # some pages that were dropped are read there after that
    breaks: bool = False  # the connection breaks after that, and another one is made
    cut: bool = False     # so does the network
    loses: bool = False   # the destination is killed after that


def no_arguments(_directory: Path, _incoming: bool) -> Sequence[str]:
    """The arguments for QEMU of a feature that needs none."""
    return ()


def nothing(_: Any) -> None:
    """The default of a hook."""


def found_nothing(_: Any) -> str:
    """The default of a hook that returns what it found."""
    return ""


def nothing_around(_directory: Path, _mib: int, _programs: Path) -> ContextManager[None]:
    """The default of a hook that lasts as long as the guest lives."""
    return contextlib.nullcontext()


@dataclasses.dataclass(frozen=True)
class Feature:
    """The guest's QEMUs have the first part for as long as the guest lives, each
    migration has the second; both ends agree on all of it."""

    name: str
    backend: str = ""  # the object that is the guest's RAM, without its id and size
    memory: str = ""   # what follows the size in -m
    cpus: int = 1      # virtual ones
    nodes: int = 1     # NUMA nodes, each with a backend of its own
    arguments: Callable[[Path, bool], Sequence[str]] = no_arguments  # (directory, incoming)
    machine: str = ""  # QEMU's name of the machine, and its properties
    accel: str = ""    # what follows the accelerator's name
    append: str = ""   # words for the guest's kernel command line
    modules: tuple[str, ...] = ()  # that the guest needs for it
    # Lasts as long as the guest; (directory, MiB, where QEMU's programs are)
    around: Callable[[Path, int, Path], ContextManager[None]] = nothing_around
    ready: Callable[[Side], None] = nothing  # with the source, when its guest is ready

    capabilities: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    file: bool = False  # through a file, which the destination reads when it is complete
    tcp: bool = False  # not through a unix socket
    network: bool = False  # the same, between two hosts with a cable that can be pulled out
    before: Callable[[Qmp], None] = nothing  # with the source's monitor, when it is about to begin
    during: Callable[[Qmp], None] = nothing  # with the source's monitor, when it has begun
    filled: Callable[[Side], None] = nothing  # with the source, when a guest under pressure has filled its memory
    loaded: Callable[[Ends], str] = found_nothing  # when the destination has all and stands still
    reports: bool = False  # the guest's agent is asked for reports, whatever the mode
    blocked: str = ""  # why there is no filter with it, though it is switched on
    refused: str = ""  # what QEMU says when the filter is to be switched on at the source, if it refuses that
    snapshot: bool = False  # the guest goes on at the source, from where the destination begins
    early: bool = False  # the migration begins when the guest has hardly begun to boot
    cancelled: bool = False  # the migration is cancelled, once the filter has been looked at
    postcopy: Optional[Postcopy] = None
    excludes: tuple[str, ...] = ()  # names of features that QEMU does not combine with it
