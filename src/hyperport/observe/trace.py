# SPDX-License-Identifier: GPL-2.0-or-later
"""--trace-ports: every port access as one line of text, in the order in which the devices saw them.

    out 03f8 1 41           direction, port, size in bytes, value; all but the size in hexadecimal
    in  03fd 1 60
    st  000d0000 4 00000001     a store to device memory: physical address; ld is a load

No times and no paths: traces of two runs of the same guest, whatever the path or engine, can be compared by diff.
For the same reason a string access gives a line for each element.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from hyperport.bus.access import Direction, PortAccess, Space
from hyperport.host.notes import note

WORDS = {
    (Space.PORT, Direction.IN): "in  {:04x}",
    (Space.PORT, Direction.OUT): "out {:04x}",
    (Space.MEMORY, Direction.IN): "ld  {:08x}",
    (Space.MEMORY, Direction.OUT): "st  {:08x}",
}


def trace_lines(access: PortAccess) -> str:
    """The lines of one access."""
    head = f"{WORDS[access.space, access.direction].format(access.port)} {access.size}"
    size, data = access.size, access.data
    return "".join(
        f"{head} {int.from_bytes(data[at : at + size], 'little'):0{2 * size}x}\n" for at in range(0, len(data), size)
    )


class PortTrace:
    """An observer for PortBus.observe() that writes to stream, which the caller opened.

    name: of the stream, for messages. Once the host takes no more, that is told in one line and kept in `failure`, and
    nothing more is written: the guest runs on.
    """

    def __init__(self, stream: TextIO, name: str = "trace") -> None:
        self.stream = stream
        self.name = name
        self.failure: str | None = None

    def __call__(self, access: PortAccess) -> None:
        """Write the lines of one access."""
        if self.failure is None:
            with self._telling():
                self.stream.write(trace_lines(access))

    def flush(self) -> None:
        """Write what is buffered."""
        if self.failure is None:
            with self._telling():
                self.stream.flush()

    def close(self) -> None:
        """Write what is buffered, and close the stream; once is enough."""
        if self.stream.closed:
            return
        self.flush()
        with self._telling():
            self.stream.close()

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if self.failure is None:
                self.failure = str(error.strerror or error)
                note(f"port trace: {self.name}: {self.failure}; it is not complete")
