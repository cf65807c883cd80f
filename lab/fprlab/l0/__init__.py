# SPDX-License-Identifier: GPL-2.0-only
"""What runs on this machine: it boots the lab's host, and shows what came of it."""
