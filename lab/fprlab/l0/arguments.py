# SPDX-License-Identifier: GPL-2.0-only
"""The arguments of the lab's commands."""

import argparse
from typing import NoReturn, Optional


class Parser(argparse.ArgumentParser):
    """A parser whose help is a program's docstring, and whose complaints are one line."""

    def __init__(self, name: str, doc: Optional[str]) -> None:
        super().__init__(prog=f"lab/{name}", description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
        self._name = name

    def error(self, message: str) -> NoReturn:
        """Name what is wrong and end with status 2."""
        self.exit(2, f"{self._name}: {message}; see {self.prog} --help\n")
