# SPDX-License-Identifier: GPL-2.0-or-later
from collections.abc import Iterable

from hyperport.backends.char import CharBackend
from hyperport.backends.clock import Clock
from hyperport.bus.device import PortDevice
from hyperport.bus.irq import IrqLine
from hyperport.devices.ps2_keyboard import Ps2Keyboard

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
    ) -> None: ...
    def inject(self, codes: Iterable[int]) -> int: ...
    def press(self, code: int, pressed: bool = True) -> bool: ...
