# SPDX-License-Identifier: GPL-2.0-only
"""All features by their names."""

from .basic import BASIC_FEATURES
from .device import DEVICE_FEATURES
from .firmware import FIRMWARE_FEATURES
from .machine import MACHINE_FEATURES
from .memory import MEMORY_FEATURES
from .postcopy import POSTCOPY_FEATURES
from .refusal import REFUSAL_FEATURES
from .sending import SENDING_FEATURES

ALL_FEATURES = {**BASIC_FEATURES, **SENDING_FEATURES, **MEMORY_FEATURES, **MACHINE_FEATURES, **DEVICE_FEATURES,
                **FIRMWARE_FEATURES, **POSTCOPY_FEATURES, **REFUSAL_FEATURES}

# What a migration of a soak may have set.
CAPABILITIES = tuple(sorted({name for feature in (*BASIC_FEATURES.values(), *POSTCOPY_FEATURES.values())
                             for name in feature.capabilities}))
