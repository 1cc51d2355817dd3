# SPDX-License-Identifier: GPL-2.0-or-later
from hyperport.bus.device import PortDevice

class PciHost(PortDevice):
    def __init__(self, reset_control: PortDevice | None = None) -> None: ...
