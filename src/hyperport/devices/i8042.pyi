# SPDX-License-Identifier: GPL-2.0-or-later
from collections.abc import Iterable

from hyperport.bus.device import PortDevice
from hyperport.devices.ps2_keyboard import Ps2Keyboard
from hyperport.host.char import CharBackend
from hyperport.lines.irq import IrqLine
from hyperport.time.clock import Clock

class I8042(PortDevice):
    keyboard: Ps2Keyboard
    def __init__(
        self,
        irq1: IrqLine | None = None,
        irq12: IrqLine | None = None,
        reset_line: IrqLine | None = None,
        a20_line: IrqLine | None = None,
        typed: CharBackend | None = None,
        clock: Clock | None = None,
        pointed: CharBackend | None = None,
    ) -> None: ...
    def inject(self, codes: Iterable[int]) -> int: ...
    def press(self, code: int, pressed: bool = True) -> bool: ...
