# SPDX-License-Identifier: GPL-2.0-or-later
"""The memory map of the PC, as the BIOS call INT 15h, AX=E820h would tell it (ACPI specification, 15.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

RAM: Final = 1
RESERVED: Final = 2

EBDA: Final = 0x9FC00  # extended BIOS data area: the last KiB of conventional memory
VGA_HOLE: Final = 0xA0000  # to 0xBFFFF; from 0xC0000 to 0xDFFFF option ROMs may lie
BIOS: Final = 0xF0000
HIGH: Final = 0x100000  # 1 MiB, where extended memory begins


@dataclass(frozen=True, slots=True)
class Range:
    """Bytes from start up to end, which is the first that does not belong; kind is RAM or RESERVED."""

    start: int
    end: int
    kind: int


def memory_map(ram: int) -> tuple[Range, ...]:
    """The map of a PC with ram bytes of memory, at least 1 MiB, in the order of addresses."""
    low = (Range(0, EBDA, RAM), Range(EBDA, VGA_HOLE, RESERVED), Range(BIOS, HIGH, RESERVED))
    return (*low, Range(HIGH, ram, RAM)) if ram > HIGH else low


def lower_kib() -> int:
    """KiB of conventional memory, from address 0."""
    return EBDA >> 10


def upper_kib(ram: int) -> int:
    """KiB of extended memory, from 1 MiB."""
    return max(ram - HIGH, 0) >> 10
