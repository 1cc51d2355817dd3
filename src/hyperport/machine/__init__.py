# SPDX-License-Identifier: GPL-2.0-or-later
"""Building a machine, owning its parts, running it."""

from hyperport.machine.machine import Machine, load_device_class

__all__ = ["Machine", "load_device_class"]
