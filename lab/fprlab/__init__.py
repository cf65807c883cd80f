# SPDX-License-Identifier: GPL-2.0-only
"""The lab's modules: common to all its machines, of this one (l0), and of its host (l1)."""
