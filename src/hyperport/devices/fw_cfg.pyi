# SPDX-License-Identifier: GPL-2.0-or-later
from collections.abc import Mapping

from hyperport.bus.device import PortDevice

class FwCfg(PortDevice):
    def __init__(self, items: Mapping[int, bytes] = ..., files: Mapping[str, bytes] = ...) -> None: ...
    def add(self, name: str, data: bytes) -> None: ...
