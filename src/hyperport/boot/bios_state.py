# SPDX-License-Identifier: GPL-2.0-or-later
"""What a BIOS leaves to a kernel, for one that is started without: vectors, the data area, interrupts that come.

A kernel that goes back to real mode, or looks into the BIOS data area (BDA), finds what it would find on a PC. The
vectors and their handlers are guest/rom/handlers.S; of the BIOS's services there are those that only read the BDA.
The interrupt controllers have their vectors at 08h and 70h, and channel 0 of the timer counts 18.2 times a second.
With firmware, it does all of this itself. See docs/decisions/0056-bios-state.md.

Sources: IBM PC AT Technical Reference (1985), section 5; Phoenix, System BIOS for IBM PCs, Compatibles and EISA
Computers, 2nd ed., chapter 3. Masks and the timer's mode are those that SeaBIOS 1.16 leaves.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from hyperport.boot import e820
from hyperport.errors import HostError
from hyperport.memory.ram import GuestMemory

VECTORS: Final = 1024  # bytes of the vector table, at 0; behind it in the file, what ends at 1 MiB
BDA: Final = 0x400
TICKS_AT: Final = BDA + 0x6C
PIT_HZ: Final = 1_193_182
PIT_PERIOD: Final = 65536
CRTC: Final = 0x3D4

# Tables of the first two hard disks: the vector that points to each, and its place in the EBDA, as SeaBIOS has it.
DISK_TABLES: Final = ((0x41, 0x3D), (0x46, 0x4D))
DISK_TABLE_BYTES: Final = 16

# Bits of the equipment word, BDA 10h.
HAS_FLOPPY: Final = 0x0001
HAS_FPU: Final = 0x0002
HAS_MOUSE: Final = 0x0004  # of a PS/2
COLOUR_80: Final = 0x0020
FLOPPIES_SHIFT: Final = 6  # their number less one, 2 bits
SERIALS_SHIFT: Final = 9  # 3 bits
PARALLELS_SHIFT: Final = 14  # 2 bits

# What the chips are told, byte by byte: offset and value.
PIC: Final = (
    *((0, 0x11), (1, 0x08), (1, 0x04), (1, 0x01)),  # ICW1: edges, a pair, ICW4; vectors from 08h; slave at 2; 8086
    *((2, 0x11), (3, 0x70), (3, 0x02), (3, 0x01)),
    *((1, 0xB8), (3, 0x8E)),  # let through: timer, keyboard, cascade, floppy; clock, mouse, FPU, first IDE channel
)
PIT: Final = ((3, 0x34), (0, 0), (0, 0))  # channel 0, two bytes, mode 2, 65,536 periods


@dataclass(frozen=True, slots=True)
class Equipment:
    """Ports of serial and parallel lines in order; how many floppy drives and hard disks; s since midnight.

    disk_tables: parameters of the first two disks, each empty where there is none.
    """

    serials: Sequence[int] = ()
    parallels: Sequence[int] = ()
    floppies: int = 0
    disks: int = 0
    disk_tables: Sequence[bytes] = ()
    time_of_day_s: int = 0

    def word(self) -> int:
        """As in the BDA at 10h."""
        floppies = HAS_FLOPPY | self.floppies - 1 << FLOPPIES_SHIFT if self.floppies else 0
        lines = len(self.serials) << SERIALS_SHIFT | len(self.parallels) << PARALLELS_SHIFT
        return HAS_FPU | HAS_MOUSE | COLOUR_80 | floppies | lines


@cache
def _handlers() -> bytes:
    try:
        return Path(__file__).with_name("handlers.bin").read_bytes()
    except OSError:
        raise HostError(
            "the handlers of interrupts (hyperport/boot/handlers.bin) are not built: run `make build`"
        ) from None


def data_area(equipment: Equipment) -> bytes:
    """The BIOS data area, from 400h."""
    area = bytearray(256)

    def put(offset: int, shape: str, *values: int) -> None:
        struct.pack_into(f"<{shape}", area, offset, *values)

    put(0x00, f"{len(equipment.serials)}H", *equipment.serials)
    put(0x08, f"{len(equipment.parallels)}H", *equipment.parallels)
    put(0x0E, "H", e820.EBDA >> 4)
    put(0x10, "H", equipment.word())
    put(0x13, "H", e820.lower_kib())
    put(0x1A, "2H", 0x1E, 0x1E)  # the keyboard's buffer is empty: next to take, next to put
    put(0x49, "B3H", 3, 80, 4096, 0)  # video mode, columns, bytes of a page, where the page begins
    put(0x60, "H", 0x0607)  # the cursor's lines, of a character of 8
    put(0x63, "HBB", CRTC, 0x29, 0x30)  # and what was written to the CGA's mode and palette registers
    put(0x6C, "I", equipment.time_of_day_s * PIT_HZ // PIT_PERIOD)
    put(0x75, "B", equipment.disks)
    put(0x78, "4B", *[20] * 4)  # timeouts of parallel
    put(0x7C, "4B", *[1] * 4)  # and serial lines
    put(0x80, "2H", 0x1E, 0x3E)  # where the keyboard's buffer begins and ends
    put(0x84, "BH", 24, 16)  # rows of text less one, lines of a character
    put(0x87, "4B", 0x60, 0xF9, 0x51, 0x08)  # VGA: 256 KiB, the mode was not cleared; switches; 400 lines; in colour
    put(0x96, "B", 0x10)  # a keyboard with 101 keys
    return bytes(area)


def write_memory(memory: GuestMemory, equipment: Equipment) -> None:
    """Put vectors, data area and handlers into memory, before a kernel is loaded."""
    image = _handlers()
    memory.write(0, image[:VECTORS])
    memory.write(BDA, data_area(equipment))
    memory.write(e820.EBDA, b"\x01")  # its size in KiB
    memory.write(e820.HIGH - len(image) + VECTORS, image[VECTORS:])
    for (vector, at), table in zip(DISK_TABLES, equipment.disk_tables, strict=False):
        if table:
            memory.write(e820.EBDA + at, table)
            memory.write(vector * 4, struct.pack("<2H", at, e820.EBDA >> 4))


def disk_table(memory: GuestMemory, vector: int) -> bytes:
    """What the vector of a disk's table points to; zeros if to nothing."""
    offset, segment = struct.unpack("<2H", memory.read(vector * 4, 4))
    return memory.read(segment * 16 + offset, DISK_TABLE_BYTES) if segment else bytes(DISK_TABLE_BYTES)


def tell(chip: Any, values: Iterable[tuple[int, int]]) -> None:
    """Write bytes to a chip, as code of a BIOS would."""
    for offset, value in values:
        chip.write(offset, 1, value)
