# SPDX-License-Identifier: GPL-2.0-or-later
"""--trace-ports: every port access as one line of text, in the order in which the devices saw them.

    out 03f8 1 41           direction, port, size in bytes, value; all but the size in hexadecimal
    in  03fd 1 60

No times and no paths: traces of two runs of the same guest, whatever the path or engine, can be compared by diff.
For the same reason a string access gives a line for each element.
"""

from __future__ import annotations

from typing import TextIO

from hyperport.bus.access import Direction, PortAccess

WORDS = {Direction.IN: "in ", Direction.OUT: "out"}


def trace_lines(access: PortAccess) -> str:
    """The lines of one access."""
    head = f"{WORDS[access.direction]} {access.port:04x} {access.size}"
    size, data = access.size, access.data
    return "".join(
        f"{head} {int.from_bytes(data[at : at + size], 'little'):0{2 * size}x}\n" for at in range(0, len(data), size)
    )


class PortTrace:
    """An observer for PortBus.observe() that writes to stream, which the caller opened and closes."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def __call__(self, access: PortAccess) -> None:
        """Write the lines of one access."""
        self.stream.write(trace_lines(access))
