# SPDX-License-Identifier: GPL-2.0-or-later
from hyperport.bus.device import PortDevice

class PostCode(PortDevice):
    @property
    def last(self) -> int: ...
