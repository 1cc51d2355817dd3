# SPDX-License-Identifier: GPL-2.0-or-later
from hyperport.lines.attention import Attention
from hyperport.lines.interrupt_controller import InterruptController
from hyperport.lines.irq import IrqLine

class Pic8259(InterruptController):
    def __init__(self, attention: Attention) -> None: ...
    def look_by(self, look: IrqLine) -> None: ...
