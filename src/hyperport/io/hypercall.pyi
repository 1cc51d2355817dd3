# SPDX-License-Identifier: GPL-2.0-or-later
from collections.abc import Iterable, Mapping

from hyperport.abi.convention import Convention, Image
from hyperport.bus.port_bus import PortBus
from hyperport.io.path import PortPath
from hyperport.lines.service import Service

class HypercallPath(PortPath): ...

class CallTable:
    conventions: tuple[Convention, ...]
    doorbell_names: dict[int, str]
    def __init__(
        self,
        bus: PortBus,
        offered: Iterable[Convention],
        images: Mapping[str, Image] | None = None,
        services: Mapping[str, Service] | None = None,
    ) -> None: ...
    def served(self) -> dict[str, dict[int, int]]: ...
    def reason(self) -> str: ...
