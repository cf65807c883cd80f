# SPDX-License-Identifier: GPL-2.0-only
"""The project's TAP writer, by the name that fprctl's tests have for it."""

from fprlab.common.tap import Skip, check, check_equal, run_tests, skip_all

__all__ = ["Skip", "check", "check_equal", "run_tests", "skip_all"]
