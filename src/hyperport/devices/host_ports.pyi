# SPDX-License-Identifier: GPL-2.0-or-later
from collections.abc import Callable

from hyperport.bus.device import PortDevice
from hyperport.host.char import CharBackend
from hyperport.lines.attention import Attention
from hyperport.lines.irq import IrqLine
from hyperport.lines.listener import Listener

def may_use(first: int, span: int) -> int: ...

class HostPorts(PortDevice):
    first: int
    def __init__(self, first: int, span: int, attention: Attention, fd: int = ..., where: str = ...) -> None: ...

class HostInterrupt(Listener):
    def __init__(self, irq: IrqLine, backend: CharBackend, answered: Callable[[], object] | None = ...) -> None: ...
