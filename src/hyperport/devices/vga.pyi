# SPDX-License-Identifier: GPL-2.0-or-later
from typing import Any

from hyperport.backends.clock import Clock
from hyperport.bus.device import PortDevice

class Vga(PortDevice):
    def __init__(self, clock: Clock) -> None: ...
    def registers(self) -> dict[str, Any]: ...
