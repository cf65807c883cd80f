# SPDX-License-Identifier: GPL-2.0-only
"""All features by their names."""

from .basic import BASIC_FEATURES
from .device import DEVICE_FEATURES
from .firmware import FIRMWARE_FEATURES
from .machine import MACHINE_FEATURES
from .memory import MEMORY_FEATURES
from .refusal import REFUSAL_FEATURES
from .sending import SENDING_FEATURES

ALL_FEATURES = {**BASIC_FEATURES, **SENDING_FEATURES, **MEMORY_FEATURES, **MACHINE_FEATURES, **DEVICE_FEATURES,
                **FIRMWARE_FEATURES, **REFUSAL_FEATURES}
