# SPDX-License-Identifier: GPL-2.0-only
"""What runs on each of the lab's machines."""
