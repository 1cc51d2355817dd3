# SPDX-License-Identifier: GPL-2.0-or-later
"""Accesses as hypothesis draws them, made on a bus: (port, size, whether an OUT, value, count)."""

from __future__ import annotations

from hyperport import PortBus

Drawn = tuple[int, int, bool, int, int]


def make(bus: PortBus, accesses: list[Drawn]) -> None:
    for port, size, out, value, count in accesses:
        if count > 1:
            data = value.to_bytes(4, "little") * count
            bus.outp_block(port, size, data) if out else bus.inp_block(port, size, count)
        elif out:
            bus.outp(port, size, value & (1 << 8 * size) - 1)
        else:
            bus.inp(port, size)
