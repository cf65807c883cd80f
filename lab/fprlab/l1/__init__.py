# SPDX-License-Identifier: GPL-2.0-only
"""What runs in the lab's host: guests, their migrations and snapshots, and how they are verified."""
