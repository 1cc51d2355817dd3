# SPDX-License-Identifier: GPL-2.0-or-later
from hyperport.bus.port_bus import PortBus

class PortPath:
    name: str
    bus: PortBus
    traps: bool
    def __init__(self, bus: PortBus) -> None: ...
