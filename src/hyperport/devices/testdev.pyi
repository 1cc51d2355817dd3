# SPDX-License-Identifier: GPL-2.0-or-later
from hyperport.bus.device import PortDevice

class TestDevice(PortDevice):
    def __init__(self) -> None: ...
