# SPDX-License-Identifier: GPL-2.0-or-later
from collections.abc import Mapping
from typing import Final

from hyperport.bus.device import PortDevice

SELECTORS: Final[dict[str, int]]

class FwCfg(PortDevice):
    def __init__(self, items: Mapping[int, bytes] = ..., files: Mapping[str, bytes] = ...) -> None: ...
    def add(self, name: str, data: bytes) -> None: ...
