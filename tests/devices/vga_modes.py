# SPDX-License-Identifier: GPL-2.0-or-later
"""The registers of a VGA's modes (IBM PS/2 BIOS Interface Technical Reference), and how a BIOS sets them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple


class Mode(NamedTuple):
    """Miscellaneous output, and the four register files."""

    misc: int
    sequencer: bytes
    crtc: bytes
    graphics: bytes
    attribute: bytes


def _mode(misc: int, sequencer: str, crtc: str, graphics: str, attribute: str) -> Mode:
    made = Mode(misc, *(bytes.fromhex(text) for text in (sequencer, crtc, graphics, attribute)))
    assert [len(file) for file in made[1:]] == [5, 25, 9, 21]
    return made


CGA: Final = "00 13 15 17 02 04 06 07 10 11 12 13 14 15 16 17 01 00 03 00 00"
EGA: Final = "00 01 02 03 04 05 06 07 10 11 12 13 14 15 16 17 01 00 0f 00 00"
VGA_16: Final = "00 01 02 03 04 05 14 07 38 39 3a 3b 3c 3d 3e 3f 01 00 0f 00 00"
TEXT: Final = "00 01 02 03 04 05 14 07 38 39 3a 3b 3c 3d 3e 3f 0c 00 0f 08 00"
VGA_256: Final = "00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 41 00 0f 00 00"
PLANAR: Final = "00 00 00 00 00 00 05 0f ff"

MODES: Final = {
    "01h: 40 x 25 text": _mode(
        0x67, "03 08 03 00 02",
        "2d 27 28 90 2b a0 bf 1f 00 4f 0d 0e 00 00 00 00 9c 8e 8f 14 1f 96 b9 a3 ff",
        "00 00 00 00 00 10 0e 00 ff", TEXT,
    ),
    "03h: 80 x 25 text": _mode(
        0x67, "03 00 03 00 02",
        "5f 4f 50 82 55 81 bf 1f 00 4f 0d 0e 00 00 00 00 9c 8e 8f 28 1f 96 b9 a3 ff",
        "00 00 00 00 00 10 0e 00 ff", TEXT,
    ),
    "04h: 320 x 200, 4 colours": _mode(
        0x63, "03 09 03 00 02",
        "2d 27 28 90 2b 80 bf 1f 00 c1 00 00 00 00 00 00 9c 8e 8f 14 00 96 b9 a2 ff",
        "00 00 00 00 00 30 0f 00 ff", CGA,
    ),
    "06h: 640 x 200, 2 colours": _mode(
        0x63, "03 01 01 00 06",
        "5f 4f 50 82 54 80 bf 1f 00 c1 00 00 00 00 00 00 9c 8e 8f 28 00 96 b9 c2 ff", "00 00 00 00 00 00 0d 00 ff",
        "00 17 17 17 17 17 17 17 17 17 17 17 17 17 17 17 01 00 01 00 00",
    ),
    "0Dh: 320 x 200, 16 colours": _mode(
        0x63, "03 09 0f 00 06",
        "2d 27 28 90 2b 80 bf 1f 00 c0 00 00 00 00 00 00 9c 8e 8f 14 00 96 b9 e3 ff", PLANAR, EGA,
    ),
    "12h: 640 x 480, 16 colours": _mode(
        0xE3, "03 01 0f 00 06",
        "5f 4f 50 82 54 80 0b 3e 00 40 00 00 00 00 00 00 ea 8c df 28 00 e7 04 e3 ff", PLANAR, VGA_16,
    ),
    "13h: 320 x 200, 256 colours": _mode(
        0x63, "03 01 0f 00 0e",
        "5f 4f 50 82 54 80 bf 1f 00 41 00 00 00 00 00 00 9c 8e 8f 28 40 96 b9 a3 ff",
        "00 00 00 00 00 40 05 0f ff", VGA_256,
    ),
    "X: 320 x 240, 256 colours": _mode(
        0xE3, "03 01 0f 00 06",
        "5f 4f 50 82 54 80 0d 3e 00 41 00 00 00 00 00 00 ea ac df 28 00 e7 06 e3 ff",
        "00 00 00 00 00 40 05 0f ff", VGA_256,
    ),
}  # fmt: skip


def writes(mode: Mode) -> Iterator[tuple[int, int]]:
    """(port, byte) in a BIOS's order. The attribute controller's flip-flop must stand at index: read 3DAh first."""
    yield 0x3C2, mode.misc
    yield from _file(0x3C4, mode.sequencer)
    yield 0x3D4, 0x11
    yield 0x3D5, 0
    yield from _file(0x3D4, mode.crtc)
    yield from _file(0x3CE, mode.graphics)
    for number, value in enumerate(mode.attribute):
        yield 0x3C0, number
        yield 0x3C0, value
    yield 0x3C0, 0x20
    yield 0x3C6, 0xFF


def _file(index: int, registers: bytes) -> Iterator[tuple[int, int]]:
    for number, value in enumerate(registers):
        yield index, number
        yield index + 1, value


def set_mode(mode: Mode, outb: Callable[[int, int], None], inb: Callable[[int], int]) -> None:
    """Program all registers of a mode."""
    inb(0x3DA)
    inb(0x3BA)
    for port, value in writes(mode):
        outb(port, value)
