# SPDX-License-Identifier: GPL-2.0-only
"""Archives in the "newc" format, the kernel's own for an initramfs."""

import stat


class Cpio:
    """One such archive. It takes no privileges to make one, not even with device nodes."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.inode = 0

    def _entry(self, name: str, mode: int, data: bytes, device: tuple[int, int] = (0, 0), mtime: int = 0) -> None:
        encoded = name.encode() + b"\0"
        self.inode += 1
        fields = (self.inode, mode, 0, 0, 1, mtime, len(data), 0, 0, *device, len(encoded), 0)
        header = b"070701" + b"".join(b"%08x" % field for field in fields) + encoded
        self.parts += [self._padded(header), self._padded(data)]

    @staticmethod
    def _padded(data: bytes) -> bytes:
        return data + bytes(-len(data) % 4)

    def directory(self, name: str, mode: int = 0o755) -> None:
        """Add a directory."""
        self._entry(name, stat.S_IFDIR | mode, b"")

    def file(self, name: str, data: bytes, mode: int = 0o644, mtime: int = 0) -> None:
        """Add a regular file; mtime in seconds since 1970."""
        self._entry(name, stat.S_IFREG | mode, data, mtime=mtime)

    def link(self, name: str, target: str) -> None:
        """Add a symbolic link."""
        self._entry(name, stat.S_IFLNK | 0o777, target.encode())

    def character_device(self, name: str, major: int, minor: int) -> None:
        """Add a device node."""
        self._entry(name, stat.S_IFCHR | 0o600, b"", (major, minor))

    def finish(self) -> bytes:
        """The archive; more archives may follow it."""
        self._entry("TRAILER!!!", 0, b"")
        return b"".join(self.parts)
