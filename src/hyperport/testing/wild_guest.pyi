# SPDX-License-Identifier: GPL-2.0-or-later
from collections.abc import Iterable
from typing import Any

from hyperport.bus.port_bus import PortBus
from hyperport.time.clock import VirtualClock

class WildGuest:
    steps: int
    accesses: int
    elements: int
    answers: int
    def __init__(
        self, bus: PortBus, clock: VirtualClock, ports: Iterable[int], controller: Any = None, progress: Any = None
    ) -> None: ...
    def play(self, steps: bytes) -> None: ...
