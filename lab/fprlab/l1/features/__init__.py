# SPDX-License-Identifier: GPL-2.0-only
"""What a migration can be done with besides the filter; registry.py has them all by name."""
