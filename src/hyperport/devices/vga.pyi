# SPDX-License-Identifier: GPL-2.0-or-later
from typing import Any

from hyperport.bus.device import PortDevice
from hyperport.time.clock import Clock

class Vga(PortDevice):
    def __init__(self, clock: Clock) -> None: ...
    def registers(self) -> dict[str, Any]: ...
