# SPDX-License-Identifier: GPL-2.0-only
"""A QMP client: one command after the other over a unix socket."""

import json
from typing import Any, Optional

from ..common.errors import LabError
from .waiting import connect


class Qmp:
    """A connection to a QEMU's monitor. Events are kept as they come, before an answer."""

    def __init__(self, path: str, timeout: Optional[float] = None) -> None:
        self._socket = connect(path)
        self._socket.settimeout(timeout)
        self._lines = self._socket.makefile("r", encoding="utf-8")
        self._events: list[dict[str, Any]] = []
        self._read()  # the greeting
        self.execute("qmp_capabilities", enable=["oob"])

    def _read(self) -> dict[str, Any]:
        line = self._lines.readline()
        if not line:
            raise LabError("QEMU closed its monitor")
        return json.loads(line)

    def execute(self, command: str, **arguments: Any) -> Any:
        """What the command returns; argument names are given with _ for -."""
        return self._send("execute", command, arguments)

    def limit(self, seconds: float) -> None:
        """What takes longer from now on is an error: the main loop hangs."""
        self._socket.settimeout(seconds)

    def execute_out_of_band(self, command: str, **arguments: Any) -> Any:
        """Execute in the monitor's own thread, also while QEMU's main loop hangs."""
        return self._send("exec-oob", command, arguments)

    def _send(self, kind: str, command: str, arguments: dict[str, Any]) -> Any:
        message = {
            kind: command,
            "arguments": {key.replace("_", "-"): value for key, value in arguments.items()},
        }
        self._socket.sendall(json.dumps(message).encode() + b"\n")
        while True:
            answer = self._read()
            if "error" in answer:
                raise LabError(f"QEMU refused {command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]
            self._events.append(answer)

    def events(self, name: str) -> list[dict[str, Any]]:
        """What came with those of that name, up to the last answer."""
        return [event.get("data", {}) for event in self._events if event["event"] == name]

    def forget_events(self) -> None:
        """Those that came so far are of something that is over."""
        self._events.clear()

    def close(self) -> None:
        """End the connection."""
        self._lines.close()
        self._socket.close()
