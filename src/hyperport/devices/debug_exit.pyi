# SPDX-License-Identifier: GPL-2.0-or-later
from hyperport.bus.device import PortDevice
from hyperport.lines.attention import Attention

class DebugExit(PortDevice):
    def __init__(self, attention: Attention) -> None: ...
