# SPDX-License-Identifier: GPL-2.0-or-later
from hyperport.bus.device import PortDevice
from hyperport.devices.vga import Vga

class VbeDispi(PortDevice):
    def __init__(self, vga: Vga) -> None: ...
    def frame(self) -> tuple[int, int, int, bytes] | None: ...
