# SPDX-License-Identifier: GPL-2.0-only
"""What stands between the guest's own agent and who asks it, or in its place."""
