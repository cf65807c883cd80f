# SPDX-License-Identifier: GPL-2.0-only
"""Migrations that QEMU's filter has to stay away from, as features like those of
feature.py."""

from .feature import Feature

NOT_COMPATIBLE = "Capability 'free-page-filter' is not compatible with capability '{}'"

REFUSAL_FEATURES = {feature.name: feature for feature in (
    Feature("dirty-ring", accel=",dirty-ring-size=4096",
            refused="Capability 'free-page-filter' cannot be set: KVM's dirty ring is in use"),
    Feature("background-snapshot", capabilities=("background-snapshot",), file=True, snapshot=True,
            refused=NOT_COMPATIBLE.format("background-snapshot")),
    # Slow, so that it can be cancelled: what would come next are checkpoints without end.
    Feature("x-colo", capabilities=("x-colo",), parameters={"max-bandwidth": 8 << 20}, cancelled=True,
            refused=NOT_COMPATIBLE.format("x-colo")),
)}
