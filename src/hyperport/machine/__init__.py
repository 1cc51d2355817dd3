# SPDX-License-Identifier: GPL-2.0-or-later
"""Building a machine, owning its parts, running it."""
