# SPDX-License-Identifier: GPL-2.0-or-later
"""The host's end of chips: character streams, disk images, packets, events, signals."""
