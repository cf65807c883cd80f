# SPDX-License-Identifier: GPL-2.0-only
"""What goes wrong in the lab."""


class LabError(Exception):
    """Something failed; the message is one line and says what."""


class LostPages(LabError):
    """Pages of a guest do not hold what was written to them."""

    def __init__(self, pages: int, message: str) -> None:
        super().__init__(message)
        self.pages = pages
