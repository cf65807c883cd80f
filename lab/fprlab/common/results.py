# SPDX-License-Identifier: GPL-2.0-only
"""How a program in the lab's host hands over results, among lines of progress."""

import json
from typing import Any, Optional

from .errors import LabError

RESULT = "result "


def print_result(result: dict[str, Any]) -> None:
    """Hand over one of them."""
    print(RESULT + json.dumps(result), flush=True)


def parse_result(line: str) -> Optional[dict[str, Any]]:
    """The result in a line, None for progress."""
    if not line.startswith(RESULT):
        return None
    try:
        return json.loads(line[len(RESULT):])
    except json.JSONDecodeError as error:
        raise LabError(f"unreadable result from the lab: {line!r}") from error
