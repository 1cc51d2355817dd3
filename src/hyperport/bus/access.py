# SPDX-License-Identifier: GPL-2.0-or-later
"""The records of port accesses. Size and count stay apart: `rep outsb` of 4 is not `outl`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any


class Direction(IntEnum):
    """Seen from the guest's CPU."""

    IN = 0
    OUT = 1


@dataclass(frozen=True, slots=True)
class PortAccess:
    """One access as it reached the bus. data holds count elements of size bytes, little-endian."""

    direction: Direction
    port: int
    size: int
    count: int
    data: bytes
    path: Any

    @property
    def value(self) -> int:
        """The first element as an unsigned integer."""
        return int.from_bytes(self.data[: self.size], "little")


@dataclass(frozen=True, slots=True)
class PortCount:
    """How often a port was accessed in one way. accesses counts elements, crossings transitions to the VMM."""

    port: int
    size: int
    direction: Direction
    path: Any
    device: str | None
    accesses: int
    crossings: int
