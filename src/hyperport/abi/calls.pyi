# SPDX-License-Identifier: GPL-2.0-or-later
from collections.abc import Mapping

from hyperport.bus.port_bus import PortBus

class CallTable:
    def __init__(self, bus: PortBus, shapes: Mapping[int, tuple[int, int, bool]]) -> None: ...
