# SPDX-License-Identifier: GPL-2.0-or-later
from hyperport.bus.device import PortDevice
from hyperport.host.char import CharBackend

class Debugcon(PortDevice):
    def __init__(self, backend: CharBackend | None = None) -> None: ...
