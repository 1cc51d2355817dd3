# SPDX-License-Identifier: GPL-2.0-or-later
from collections.abc import Callable

from hyperport.bus.port_bus import PortObserver
from hyperport.lines.attention import Attention
from hyperport.observe.filter_program import FilterProgram

class PortMark(PortObserver):
    armed: bool
    def __init__(
        self,
        program: FilterProgram,
        callback: Callable[[], object],
        attention: Attention,
        armed: bool = ...,
    ) -> None: ...
