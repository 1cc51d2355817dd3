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


class Space(IntEnum):
    """Where the address of an access counts: in the port space, or in guest-physical memory."""

    PORT = 0
    MEMORY = 1


@dataclass(frozen=True, slots=True)
class Place:
    """Where in guest code an access was made: code selector, EIP and CPL.

    exact: eip is that of the instruction; else the engine may already have it behind the instruction.
    """

    cs: int
    eip: int
    cpl: int
    exact: bool


@dataclass(frozen=True, slots=True)
class PortAccess:
    """One access as it reached the bus. data holds count elements of size bytes, little-endian.

    space: with Space.MEMORY it is an access to device memory, and port is its physical address.

    place: for observers that were added with places=True; None for accesses that no guest code is making just now (from
    Python, from a script, or a posted write that is drained).
    """

    direction: Direction
    port: int
    size: int
    count: int
    data: bytes
    path: Any
    place: Place | None = None
    space: Space = Space.PORT

    @property
    def value(self) -> int:
        """The first element as an unsigned integer."""
        return int.from_bytes(self.data[: self.size], "little")


@dataclass(frozen=True, slots=True)
class PortCount:
    """How often a port was accessed in one way. accesses counts elements, crossings transitions to the VMM.

    space: with Space.MEMORY it is a window of device memory, all of it, and port its first address.
    """

    port: int
    size: int
    direction: Direction
    path: Any
    device: str | None
    accesses: int
    crossings: int
    space: Space = Space.PORT
