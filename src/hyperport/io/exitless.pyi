# SPDX-License-Identifier: GPL-2.0-or-later
from collections.abc import Iterable
from typing import Any

from hyperport.abi.convention import Image
from hyperport.bus.port_bus import PortBus
from hyperport.io.path import PortPath
from hyperport.lines.service import Service
from hyperport.memory.ram import GuestMemory
from hyperport.time.clock import Clock

class ExitlessPath(PortPath): ...

class Exitless(Service):
    posted: int
    drained: int
    refused: int
    restarted: int
    def __init__(self, bus: PortBus, memory: GuestMemory, clock: Clock, images: Iterable[Image] = ()) -> None: ...
    def join(self, vcpu: Any) -> None: ...
    def counts(self) -> dict[str, int]: ...
