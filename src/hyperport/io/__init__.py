# SPDX-License-Identifier: GPL-2.0-or-later
"""How a port access reaches the VMM: the strategies, by the name that `--io` takes."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hyperport.bus.port_bus import PortBus
    from hyperport.io.path import PortPath

    Factory = Callable[[PortBus], PortPath]


def _path(module: str, class_name: str) -> Factory:
    """A factory that imports the path only when one is made: the names alone cost nothing."""

    def make(bus: PortBus) -> PortPath:
        made: PortPath = getattr(import_module(f"{__name__}.{module}"), class_name)(bus)
        return made

    return make


PATHS: Final[dict[str, Factory]] = {
    "trap": _path("trap", "TrapPath"),
    "exit": _path("exit", "ExitPath"),
    "hypercall": _path("hypercall", "HypercallPath"),
    "exitless": _path("exitless", "ExitlessPath"),
}
CALLED: Final = ("hypercall", "exitless")  # of these, where the guest may make calls
