# SPDX-License-Identifier: GPL-2.0-or-later
from hyperport.backends.char import CharBackend
from hyperport.bus.device import PortDevice

class Debugcon(PortDevice):
    def __init__(self, backend: CharBackend | None = None) -> None: ...
