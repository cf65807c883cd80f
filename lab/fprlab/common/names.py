# SPDX-License-Identifier: GPL-2.0-only
"""Names that more than one of the lab's machines knows."""

from pathlib import Path

TOP = Path(__file__).resolve().parents[3]  # the checkout, which L1 sees, too

WORKLOADS = ("idle", "freed", "frag", "churn", "forks")
# Programs that nobody here wrote, see lab/l2/programs; their guests need what lab/build-guest --programs adds.
PROGRAM_WORKLOADS = ("server", "database", "build", "managed")
# Those that need a device, which a feature brings.
DEVICE_WORKLOADS = ("disk", "net")
# Of lab/tests/l0/race_test alone.
RACE_WORKLOAD = "pressure"
# The control: as filter-report, but with upstream's ioctls alone, by a QEMU of its own (scripts/build-qemu --control).
CONTROL_MODE = "vmm"
MODES = ("plain", "pagemap", "hint", "filter-hint", "filter-report", CONTROL_MODE)
DEMO_MODES = ("plain", "hint", "filter-hint", "filter-report")
# Chains of flat snapshots: without the filter; with fprctl filter before each diff; and with fprctl filter that runs
# what takes the diff.
CHAIN_WAYS = ("plain", "apart", "exec")
CHAIN_DIFFS = 8
REPORT_MODES = ("filter-report", CONTROL_MODE)
FILTER_MODES = ("filter-hint", *REPORT_MODES)

# What the QEMU that is the lab's host (L1) takes besides its memory.
QEMU_MIB = 1024

# Of a soak: how large its guests are, and how many seconds a migration may make no progress.
SOAK_GUEST_MIB = (256, 384, 512, 768, 1024)
SOAK_TIMEOUT = 600
# A guest with memory below and above the hole that ends at 4 GiB, and what its host takes for two of them.
LARGE_GUEST_MIB = 5120
LARGE_HOST_MIB = 2 * LARGE_GUEST_MIB + 2560
