# SPDX-License-Identifier: GPL-2.0-or-later
from typing import Any

from hyperport.bus.device import PortDevice
from hyperport.lines.attention import Attention

NOTE: str

def adapt(device: Any) -> PortDevice: ...

class PythonDevice(PortDevice):
    target: Any
    def __init__(self, target: Any) -> None: ...
    def connect(
        self, attention: Attention, base: int | None = None, vcpu: Any = None, window: object = ...
    ) -> None: ...
