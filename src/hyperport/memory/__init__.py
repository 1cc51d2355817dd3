# SPDX-License-Identifier: GPL-2.0-or-later
"""Guest RAM, and how devices reach it."""

from hyperport.memory.ram import GuestMemory

__all__ = ["GuestMemory"]
