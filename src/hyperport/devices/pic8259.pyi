# SPDX-License-Identifier: GPL-2.0-or-later
from hyperport.lines.attention import Attention
from hyperport.lines.interrupt_controller import InterruptController

class Pic8259(InterruptController):
    def __init__(self, attention: Attention) -> None: ...
