# SPDX-License-Identifier: GPL-2.0-or-later
from typing import Any

from hyperport.bus.port_bus import PortBus, PortObserver
from hyperport.io.path import PortPath
from hyperport.observe.filter_program import FilterProgram

PART_NAMES: tuple[str, ...]
MOST_SITES: int
MOST_WITH_PORTS: int
MOST_STACKS: int
EVERY: int

class Profiler(PortObserver):
    site_count: int
    stack_count: int
    folded: int
    uncounted: int
    stacks_lost: int
    samples: int
    pauses: int
    def __init__(
        self,
        *,
        filter: FilterProgram | None = None,  # noqa: A002
        pause: int = ...,
        bus: PortBus | None = ...,
        path: PortPath | None = ...,
        reading: float = ...,
    ) -> None: ...
    def close(self) -> None: ...
    def rows(self) -> list[dict[str, Any]]: ...
    def stack_rows(self) -> list[tuple[int, list[int], int]]: ...
    def by_port(self) -> dict[int, int]: ...
    def by_window(self) -> dict[int, int]: ...
    def crossings(self) -> int: ...
    @staticmethod
    def why(vcpu: object) -> int | None: ...
    @staticmethod
    def ticks() -> int: ...
    def gap_rows(self) -> list[tuple[int, int]]: ...
