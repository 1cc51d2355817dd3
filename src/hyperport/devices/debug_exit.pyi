# SPDX-License-Identifier: GPL-2.0-or-later
from hyperport.bus.attention import Attention
from hyperport.bus.device import PortDevice

class DebugExit(PortDevice):
    def __init__(self, attention: Attention) -> None: ...
