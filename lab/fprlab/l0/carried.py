# SPDX-License-Identifier: GPL-2.0-only
"""What a host that shares no files with this machine (L0) is given: the files that a command names, and what
those need to run, at the same places."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from ..common.errors import LabError
from ..common.names import TOP
from .cpio import Cpio

LIMIT_MIB = 256
WORTH_STRIPPING = 1 << 20  # bytes; the machine's own programs have nothing for debuggers
SHELLS = ("bash", "sh")
# What a script may call, besides its interpreter.
TOOLS = ("awk", "cat", "cut", "dirname", "env", "grep", "head", "insmod", "ls", "mkdir", "mktemp", "mount", "nproc",
         "realpath", "rm", "rmmod", "sed", "seq", "sh", "sleep", "sort", "tail", "timeout", "tr", "umount", "uname",
         "wc")  # fmt: skip
# How a script of ours names another one of the checkout that it reads.
SOURCED = re.compile(rb"^# shellcheck source=(\S+)$", re.MULTILINE)
EMPTY = ("proc", "sys", "tmp", "var/tmp", "run", "root")
# Parts of python's library that no program of ours uses.
NOT_OF_PYTHON = ("config-*", "ensurepip", "idlelib", "lib2to3", "pydoc_data", "test", "tkinter", "turtledemo")
# What our programs find beside them by a link.
PACKAGE = "fprlab"


def stripped(path: Path, strip: str = "strip") -> bytes:
    """A program's or a module's content, without what is for debuggers; strip is for its architecture."""
    with tempfile.NamedTemporaryFile() as output:
        if subprocess.run([strip, "-g", "-o", output.name, path], check=False).returncode:
            raise LabError(f"strip failed on {path}")
        return Path(output.name).read_bytes()


class Carried:
    """An initramfs that is filled with files of this machine."""

    def __init__(self, cpio: Cpio, path: str, strip: str = "strip") -> None:
        self._cpio = cpio
        self._strip = strip
        self._search = path
        self._names: set[str] = set()
        self._bytes = 0
        self._tools = False
        for name in EMPTY:
            self.directory(Path("/", name))

    def directory(self, path: Path) -> None:
        """A directory, and those above it."""
        for one in (*reversed(path.parents), path):
            name = str(one).lstrip("/")
            if name and name not in self._names:
                self._names.add(name)
                self._cpio.directory(name, 0o1777 if one.name == "tmp" else 0o755)

    def named_by(self, command: list[str], cwd: Path) -> None:
        """What the command's words name."""
        self.directory(cwd)
        program = shutil.which(command[0], path=self._search)
        for word in (*([program] if program else []), *command):
            path = Path(os.path.normpath(cwd / word))
            if path.is_dir():
                self._tree(path)
            elif path.is_file():
                self.file(path)
        if Path(command[0]).name in SHELLS:
            self._shell_tools()

    def _tree(self, path: Path, runs: bool = True) -> None:
        """All files below a directory."""
        for below in sorted(path.rglob("*")):
            if below.is_file():
                self.file(below, runs)

    def _link(self, path: Path) -> None:
        """A symbolic link; what it names is carried apart."""
        name = str(path).lstrip("/")
        if name not in self._names:
            self.directory(path.parent)
            self._names.add(name)
            self._cpio.link(name, os.readlink(path))

    def file(self, path: Path, runs: bool = True) -> None:
        """A file and what it needs; a script of a library needs nothing, for it is not run."""
        name = str(path).lstrip("/")
        if name in self._names:
            return
        self.directory(path.parent)
        self._names.add(name)
        with path.open("rb") as source:
            start = source.read(64)
        is_elf = start.startswith(b"\x7fELF")
        data = stripped(path, self._strip) if is_elf and path.stat().st_size > WORTH_STRIPPING else path.read_bytes()
        self._bytes += len(data)
        if self._bytes > LIMIT_MIB << 20:
            raise LabError(f"more than {LIMIT_MIB} MiB would have to be copied into L1: name fewer or smaller directories")
        # Python compiles a module again that is not as old as it was.
        self._cpio.file(name, data, path.stat().st_mode & 0o777, int(path.stat().st_mtime))
        if is_elf and path.suffix != ".ko":
            self._libraries(path)
        elif runs and start.startswith(b"#!") and os.access(path, os.X_OK):
            self._interpreter(path, start)
            for sourced in SOURCED.findall(data):
                self.file(TOP / os.fsdecode(sourced))

    def _libraries(self, path: Path) -> None:
        # Of a static program ldd says that it is none, and fails.
        output = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
        for library in re.findall(r"(?:=> |^\t)(/\S+) \(0x", output, re.MULTILINE):
            self.file(Path(library))

    def _interpreter(self, path: Path, start: bytes) -> None:
        words = start.splitlines()[0][2:].decode(errors="replace").split()
        self.file(Path(words[0]))
        if "python" in words[0]:
            self._python(Path(words[0]))
            self._package(path.parent / PACKAGE)
        self._shell_tools()

    def _python(self, interpreter: Path) -> None:
        """Its library, with what was compiled of it already."""
        output = subprocess.run([interpreter, "-c", "import sysconfig; print(sysconfig.get_path('stdlib'))"],
                                stdout=subprocess.PIPE, text=True, check=True).stdout
        for part in sorted(Path(output.strip()).iterdir()):
            if part.is_file():
                self.file(part, runs=False)
            elif not any(part.match(pattern) for pattern in NOT_OF_PYTHON):
                self._tree(part, runs=False)

    def _package(self, link: Path) -> None:
        """The checkout's package, if the program uses it."""
        if not link.is_symlink():
            return
        self._link(link)
        for module in sorted(link.resolve().rglob("*.py")):
            if module.is_symlink():
                self._link(module)
            self.file(module.resolve())

    def _shell_tools(self) -> None:
        if self._tools:
            return
        self._tools = True
        for tool in TOOLS:
            found = shutil.which(tool, path=self._search)
            if not found:
                raise LabError(f"this machine has no {tool}, which scripts in L1 may need")
            self.file(Path(found))
