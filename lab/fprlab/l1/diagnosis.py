# SPDX-License-Identifier: GPL-2.0-only
"""What a QEMU is at, for a person who has to find out why something hangs."""

import json
from pathlib import Path

from ..common.errors import LabError
from .qmp import Qmp

TIMEOUT = 120.0  # seconds
COMMANDS = ("query-status", "query-migrate", "query-migrate-capabilities", "query-migrate-parameters")
HUMAN_COMMANDS = ("info registers", "info lapic", "info pic", "info chardev")


def threads(pid: int) -> list[str]:
    """Where each thread is in the kernel."""
    lines = []
    for task in sorted(Path(f"/proc/{pid}/task").iterdir()):
        for name in ("comm", "stat", "stack"):
            lines.append(f"{task.name} {name}: {(task / name).read_text(errors='replace').strip()}")
    return lines


def answers(monitor: Path) -> list[str]:
    """QEMU's own answers; the monitor takes one client at a time, so the old one has to go."""
    qmp = Qmp(str(monitor), TIMEOUT)
    try:
        lines = [f"{command}: {json.dumps(qmp.execute(command))}" for command in COMMANDS]
        return lines + [qmp.execute("human-monitor-command", command_line=command) for command in HUMAN_COMMANDS]
    finally:
        qmp.close()


def diagnose(pid: int, monitor: Path) -> str:
    """All of that which can be had."""
    lines: list[str] = []
    for part in (lambda: threads(pid), lambda: answers(monitor)):
        try:
            lines += part()
        except (LabError, OSError) as error:
            lines.append(f"nothing more is known: {error}")
    return "".join(f"{line}\n" for line in lines)
