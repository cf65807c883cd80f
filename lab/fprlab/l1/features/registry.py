# SPDX-License-Identifier: GPL-2.0-only
"""All features by their names."""

from .devices import DEVICES
from .feature import FEATURES
from .memory import MEMORIES
from .refused import REFUSALS
from .sending import SENDING

ALL_FEATURES = {**FEATURES, **SENDING, **MEMORIES, **DEVICES, **REFUSALS}
