# SPDX-License-Identifier: GPL-2.0-or-later
"""Interrupt lines, and what may interrupt a run."""
