# SPDX-License-Identifier: GPL-2.0-or-later
from collections.abc import Container, Iterable

from hyperport.abi.convention import Convention
from hyperport.bus.port_bus import PortBus

class CallTable:
    def __init__(
        self, bus: PortBus, offered: Iterable[Convention], vmi_numbers: Container[int] | None = None
    ) -> None: ...
    def reason(self, number: int) -> str: ...
