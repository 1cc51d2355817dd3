# SPDX-License-Identifier: GPL-2.0-or-later
"""How a port access reaches the VMM."""
