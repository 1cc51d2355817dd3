# SPDX-License-Identifier: GPL-2.0-or-later
from collections.abc import Callable

from hyperport.bus.port_bus import PortObserver
from hyperport.observe.filter_program import FilterProgram

class TextTrace(PortObserver):
    error: int
    def __init__(
        self,
        fd: int,
        *,
        filter: FilterProgram | None = None,  # noqa: A002 - the word of the option
        live: bool = False,
        tell: Callable[[int], object] | None = None,
    ) -> None: ...
    def flush(self) -> None: ...
