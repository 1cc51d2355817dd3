# SPDX-License-Identifier: GPL-2.0-or-later
from typing import Final

from hyperport.lines.irq import IrqLine
from hyperport.lines.service import Service
from hyperport.time.clock import Clock

class VmiTimer(Service):
    name: Final[str]
    abi: Final[str]
    def __init__(self, clock: Clock, line: IrqLine, hertz: int) -> None: ...
    def reset(self) -> None: ...
