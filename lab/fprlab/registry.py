# SPDX-License-Identifier: GPL-2.0-only
"""All features by their names."""

from .devices import DEVICES
from .features import FEATURES
from .memories import MEMORIES
from .refusals import REFUSALS
from .sending import SENDING

ALL_FEATURES = {**FEATURES, **SENDING, **MEMORIES, **DEVICES, **REFUSALS}
