# SPDX-License-Identifier: GPL-2.0-or-later
from hyperport.bus.access import Direction, Place, Space
from hyperport.bus.port_bus import Path

HEADER_SIZE: int
VERSION: int
MOST_BODY: int

class TracedAccess:
    direction: Direction
    port: int
    size: int
    count: int
    data: bytes
    path: Path
    space: Space
    crossings: int
    stamped: bool
    number: int
    ns: int
    @property
    def place(self) -> Place | None: ...
    @property
    def value(self) -> int: ...

class LineChange:
    line: int
    level: int
    ns: int

def parse_header(raw: bytes) -> tuple[int, int, int, int, int] | None: ...
def is_whole(raw: bytes, body: bytes) -> bool: ...

class Decoder:
    cut: int
    def records(self, raw: bytes, body: bytes) -> list[TracedAccess | LineChange]: ...
