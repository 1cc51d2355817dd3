# SPDX-License-Identifier: GPL-2.0-or-later
"""Loaders: each puts an image into a guest's RAM and returns the processor's state at its entry."""
