# SPDX-License-Identifier: GPL-2.0-or-later
from collections.abc import Callable
from enum import IntEnum
from typing import Any

from hyperport.bus.access import Place

class Crossing(IntEnum):
    GUEST = 0
    IN = 1
    OUT = 2
    STRING = 3
    DOORBELL = 4
    INSTRUCTION = 5
    VECTOR = 6
    FAULT = 7
    EXIT = 8
    DRAIN = 9
    MMIO = 10
    HLT = 11
    DELIVERY = 12
    STOP = 13
    PYTHON = 14

class CrossingHook: ...

class CallbackHook(CrossingHook):
    failure: Exception | None
    def __init__(self, callback: Callable[[Crossing, Place], object]) -> None: ...

def hook(vcpu: Any, what: CrossingHook) -> None: ...
def unhook(vcpu: Any, what: CrossingHook) -> None: ...
