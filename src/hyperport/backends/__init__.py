# SPDX-License-Identifier: GPL-2.0-or-later
"""The host side of chips: consoles, clocks, and the thread that watches for host events."""
