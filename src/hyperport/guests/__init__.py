# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests that hyperport knows by name."""
