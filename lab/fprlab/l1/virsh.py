# SPDX-License-Identifier: GPL-2.0-only
"""A host's libvirt, by way of virsh."""

import json
import subprocess
from typing import Any, Optional

from ..common.errors import LabError


class Virsh:
    """Commands for the libvirtd at a URI."""

    def __init__(self, uri: str) -> None:
        self.uri = uri

    def command(self, *arguments: str) -> list[str]:
        """The command line for virsh."""
        return ["virsh", "--quiet", "--connect", self.uri, *arguments]

    def run(self, *arguments: str) -> str:
        """Run virsh; returns what it prints."""
        result = subprocess.run(self.command(*arguments), stdin=subprocess.DEVNULL, capture_output=True,
                                text=True, check=False)
        if result.returncode:
            lines = result.stderr.strip().splitlines() or ["it says nothing"]
            raise LabError(f"virsh {arguments[0]} at {self.uri}: {lines[-1]}")
        return result.stdout

    def answers(self) -> bool:
        """Whether libvirtd is there."""
        try:
            self.run("uri")
        except LabError:
            return False
        return True

    def query_migrate(self, domain: str) -> Optional[dict[str, Any]]:
        """QEMU's own figures, or None if it is not there to say them."""
        try:
            text = self.run("qemu-monitor-command", domain, '{"execute": "query-migrate"}')
        except LabError:
            return None
        return json.loads(text).get("return")

    def completed_job(self, domain: str) -> dict[str, int]:
        """libvirt's figures of the migration that brought a domain here."""
        figures = {}
        for line in self.run("domjobinfo", domain, "--completed", "--rawstats").splitlines():
            key, _, value = line.partition(":")
            if value.strip().isdecimal():
                figures[key.strip()] = int(value)
        if "memory_processed" not in figures:
            raise LabError("virsh domjobinfo does not say what was sent")
        return figures
