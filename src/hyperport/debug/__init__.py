# SPDX-License-Identifier: GPL-2.0-or-later
"""For whoever looks into a stopped machine."""
