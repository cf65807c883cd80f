# SPDX-License-Identifier: GPL-2.0-only
"""Where the project's cache is."""

import os
from pathlib import Path


def cache_path() -> Path:
    """The directory, which need not be there, by the same rule as scripts/debian.sh."""
    path = os.environ.get("KVM_FPR_CACHE")
    return Path(path) if path else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kvm-fpr"
