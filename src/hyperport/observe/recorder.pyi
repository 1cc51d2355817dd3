# SPDX-License-Identifier: GPL-2.0-or-later
from collections.abc import Callable

from hyperport.bus.port_bus import PortObserver
from hyperport.lines.listener import Listener
from hyperport.observe.filter_program import FilterProgram
from hyperport.time.clock import Clock

LARGEST_RING: int
SMALLEST_RING: int

def require_ring(size: int | None) -> None: ...

class Recorder(PortObserver):
    error: int
    accesses: int
    lost: int
    overwritten: int
    written: int
    def __init__(
        self,
        clock: Clock,
        fd: int | None = None,
        *,
        ring: int | None = None,
        described: bytes = b"{}",
        filter: FilterProgram | None = None,  # noqa: A002 - the word of the option
        every: int = 4,
        tell: Callable[[int], object] | None = None,
    ) -> None: ...
    @property
    def steady_ticks(self) -> bool: ...
    def idle(self) -> None: ...
    def flush(self) -> None: ...
    def close(self, ended: bytes = b"{}") -> None: ...
    def save(self, fd: int, described: bytes = b"{}", ended: bytes = b"{}") -> None: ...

class LineRecorder(Listener):
    def __init__(self, recorder: Recorder) -> None: ...
