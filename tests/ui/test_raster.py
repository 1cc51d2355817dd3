# SPDX-License-Identifier: GPL-2.0-or-later
"""What the CRTC and the attribute controller make of the planes, where there is nothing to compare with.

tests/devices/test_vga_qemu.py has the modes as a whole; here is what qemu does not do.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperport.ui.raster import Raster, smaller, true_colours
from tests.devices.vga_modes import MODES

BYTES = 4 << 16
TEXT, PLANAR, MODE_X = "03h: 80 x 25 text", "12h: 640 x 480, 16 colours", "X: 320 x 240, 256 colours"
RNG = random.Random(1)
NOISE = RNG.randbytes(BYTES)


def registers(name: str, **changes: dict[int, int]) -> dict[str, Any]:
    """A mode's registers with some changed, as Vga.registers() gives them. Colour n of four bits is n of the DAC."""
    mode = MODES[name]
    files = {"crtc": mode.crtc, "sequencer": mode.sequencer, "graphics": mode.graphics}
    files["attribute"] = bytes(range(16)) + mode.attribute[16:]
    for file, values in changes.items():
        changed = bytearray(files[file])
        for register, value in values.items():
            changed[register] = value
        files[file] = bytes(changed)
    return {**files, "pel_mask": 0xFF}


def lines(planes: bytes, made: dict[str, Any]) -> list[bytes]:
    """The picture, line by line."""
    raster = Raster(planes, made)
    pixels = raster.pixels()
    return [pixels[at : at + raster.width] for at in range(0, len(pixels), raster.width)]


def planar(planes: bytes, line: int, dots: int = 640, *, base: int = 0) -> bytes:
    """What a line of mode 12h shows, dot by dot."""
    found = []
    for x in range(dots):
        at = 4 * ((base + 80 * line + x // 8) & 0xFFFF)
        found.append(sum((planes[at + plane] >> 7 - x % 8 & 1) << plane for plane in range(4)))
    return bytes(found)


def test_panning_by_dots_and_bytes() -> None:
    plain = planar(NOISE, 3, 680)
    for dots in range(8):
        shown = lines(NOISE, registers(PLANAR, attribute={0x13: dots}))[3]
        assert shown == plain[dots : dots + 640]
    assert lines(NOISE, registers(PLANAR, crtc={8: 0x40}))[3] == plain[16:656]


def test_panning_of_nine_dots_counts_from_eight() -> None:
    """8 is no panning, 0 is one dot, 7 is eight."""
    plain = lines(NOISE, registers(TEXT, attribute={0x13: 8}))[0]
    assert lines(NOISE, registers(TEXT, attribute={0x13: 0}))[0][:-1] == plain[1:]
    assert lines(NOISE, registers(TEXT, attribute={0x13: 7}))[0][:-8] == plain[8:]


def test_a_split_begins_at_the_memorys_start_and_may_stop_panning() -> None:
    split = {0x0C: 0x20, 0x18: 99, 0x07: 0x2E, 0x09: 0x00}  # line 99 is the last of the upper part
    for mode, below in ((0x01, 5), (0x21, 0)):
        shown = lines(NOISE, registers(PLANAR, crtc=split, attribute={0x13: 5, 0x10: mode}))
        assert shown[99] == planar(NOISE, 99, 645, base=0x2000)[5:]
        assert shown[100] == planar(NOISE, 0, 640 + below)[below:]
        assert shown[101] == planar(NOISE, 1, 640 + below)[below:]


def test_a_preset_row_scan_scrolls_text_by_lines() -> None:
    plain = lines(NOISE, registers(TEXT))
    assert lines(NOISE, registers(TEXT, crtc={8: 5}))[: 400 - 5] == plain[5:]


def test_the_pel_mask_and_the_colour_planes() -> None:
    made = registers(PLANAR) | {"pel_mask": 0x05}
    assert lines(NOISE, made)[7] == bytes(pixel & 5 for pixel in planar(NOISE, 7))
    assert lines(NOISE, registers(PLANAR, attribute={0x12: 0x0A}))[7] == bytes(p & 10 for p in planar(NOISE, 7))
    wide = lines(NOISE, registers(MODE_X))[9]
    assert lines(NOISE, registers(MODE_X) | {"pel_mask": 0x0F})[9] == bytes(pixel & 15 for pixel in wide)


def test_colour_select_gives_the_upper_bits() -> None:
    plain = planar(NOISE, 0)
    assert lines(NOISE, registers(PLANAR, attribute={0x14: 0x08}))[0] == bytes(0x80 | pixel for pixel in plain)
    assert lines(NOISE, registers(PLANAR, attribute={0x14: 0x06, 0x10: 0x81}))[0] == bytes(0x60 | p for p in plain)


def cell(code: int, attribute: int, glyph: bytes = bytes(32)) -> bytes:
    """Planes with one character at the top left, and its glyph."""
    planes = bytearray(BYTES)
    planes[0], planes[1] = code, attribute
    for line, row in enumerate(glyph):
        planes[4 * (32 * code + line) + 2] = row
    return bytes(planes)


@pytest.mark.parametrize(
    ("mode", "attribute", "underlined"),
    [(0x02, 0x01, True), (0x02, 0x89, True), (0x02, 0x07, False), (0x02, 0x11, False), (0x00, 0x01, False)],
)
def test_monochrome_attributes_underline(mode: int, attribute: int, underlined: bool) -> None:
    made = registers(TEXT, attribute={0x10: mode, 0x13: 8}, crtc={0x14: 0x0D, 0x0A: 0x20})
    shown = lines(cell(65, attribute), made)
    assert shown[13][:9] == bytes([attribute & 15 if underlined else attribute >> 4]) * 9
    assert set(shown[12][:9]) == {attribute >> 4}


def test_a_glyph_has_as_many_lines_as_the_row_up_to_32() -> None:
    glyph = bytes(0x80 | line for line in range(32))
    shown = lines(cell(1, 0x07, glyph), registers(TEXT, crtc={9: 31, 0x0A: 0x20}, attribute={0x13: 8}))
    for line in range(32):
        assert shown[line][:9] == bytes(7 if glyph[line] >> 7 - x & 1 else 0 for x in range(8)) + b"\0"


def test_interleaved_lines_of_cga() -> None:
    """Line 1 of a row is 2000h further on."""
    planes = bytearray(BYTES)
    planes[4 * 0x2000] = 0b00011011  # four dots of two bits, in plane 0
    shown = lines(bytes(planes), registers("04h: 320 x 200, 4 colours"))
    assert [shown[2][2 * x] for x in range(4)] == [0, 1, 2, 3]
    assert shown[2] == shown[3]
    assert set(shown[0] + shown[1] + shown[4]) == {0}


@settings(max_examples=60)
@given(
    st.binary(min_size=25, max_size=25), st.binary(min_size=5, max_size=5), st.binary(min_size=9, max_size=9),
    st.binary(min_size=21, max_size=21), st.integers(0, 255),
)  # fmt: skip
def test_any_registers_give_a_picture(
    crtc: bytes, sequencer: bytes, graphics: bytes, attribute: bytes, mask: int
) -> None:
    made = {"crtc": crtc, "sequencer": sequencer, "graphics": graphics, "attribute": attribute, "pel_mask": mask}
    raster = Raster(NOISE, made)
    assert len(raster.pixels()) == raster.width * raster.height <= 4608 * 1024
    rows = raster.rows(25)
    assert [len(row) for row in rows] == [2 * raster.columns] * 25


def test_true_colours_fill_eight_bits() -> None:
    assert (
        true_colours(bytes.fromhex("ff7f 0000 007c e003 1f00"), 15).hex(" ", 3) == "ffffff 000000 ff0000 00ff00 0000ff"
    )
    assert true_colours(bytes.fromhex("ffff 0008 2000 0100"), 16).hex(" ", 3) == "ffffff 080000 000400 000008"
    assert true_colours(bytes.fromhex("030201"), 24) == b"\1\2\3"
    assert true_colours(bytes.fromhex("030201ff"), 32) == b"\1\2\3"


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 12), st.integers(1, 12), st.data())
def test_a_smaller_picture_is_of_means(width: int, height: int, columns: int, rows: int, data: st.DataObject) -> None:
    pixels = data.draw(st.binary(min_size=3 * width * height, max_size=3 * width * height))
    shown = smaller(pixels, width, height, columns, rows)
    assert len(shown) == 3 * columns * rows
    for y in range(rows):
        for x in range(columns):
            left, top = x * width // columns, y * height // rows
            right, bottom = max((x + 1) * width // columns, left + 1), max((y + 1) * height // rows, top + 1)
            for part in range(3):
                covered = [pixels[3 * (width * j + i) + part] for j in range(top, bottom) for i in range(left, right)]
                assert shown[3 * (columns * y + x) + part] == sum(covered) // len(covered)
