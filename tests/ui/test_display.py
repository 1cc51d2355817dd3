# SPDX-License-Identifier: GPL-2.0-or-later
"""Text, cells and pictures of a screen: what the guest wrote is what is seen."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperport.devices.cp437 import GLYPH_LINES, glyphs
from hyperport.devices.vbe_dispi import VbeDispi
from hyperport.devices.vga import Vga
from hyperport.memory.ram import TEXT_ADDRESS, TEXT_SIZE, GuestMemory
from hyperport.time.clock import VirtualClock
from hyperport.ui.display import CHARACTERS, Cell, Cursor, Display
from hyperport.ui.png import png

CRTC_INDEX = 0x24
Colour = tuple[int, int, int]
GREY, BLACK, WHITE, BLUE = (0xAA, 0xAA, 0xAA), (0, 0, 0), (255, 255, 255), (0, 0, 0xAA)


class Rig:
    """A display whose registers and cells are set directly."""

    def __init__(self) -> None:
        self.memory = GuestMemory(1 << 20)
        self.vga = Vga(VirtualClock(), self.memory)
        self.display = Display(self.vga, VbeDispi(self.vga))

    def crtc(self, register: int, value: int) -> None:
        self.vga.write(CRTC_INDEX, 1, register)
        self.vga.write(CRTC_INDEX + 1, 1, value)

    def cursor(self, at: int) -> None:
        self.crtc(0x0E, at >> 8)
        self.crtc(0x0F, at & 0xFF)

    def put(self, at: int, text: str, attribute: int = 7) -> None:
        """Write text at character number at."""
        data = b"".join(bytes([CHARACTERS.index(character), attribute]) for character in text)
        self.memory.write(TEXT_ADDRESS + 2 * at, data)


@pytest.fixture
def rig() -> Rig:
    return Rig()


def read_png(data: bytes) -> tuple[int, list[bytes], list[Colour]]:
    """Bytes a pixel, lines, and the palette, of a file as png() writes it; every checksum is looked at."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", data, at + 8 + length)[0] == zlib.crc32(kind + body)
        chunks[kind], at = body, at + 12 + length
    width, height, *rest = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert rest in ([8, 3, 0, 0, 0], [8, 2, 0, 0, 0])
    size = 1 if rest[1] == 3 else 3
    assert list(chunks) == [b"IHDR", *([b"PLTE"] if size == 1 else []), b"IDAT", b"IEND"]
    raw = zlib.decompress(chunks[b"IDAT"])
    line = width * size
    assert len(raw) == height * (line + 1)
    rows = [raw[row * (line + 1) : (row + 1) * (line + 1)] for row in range(height)]
    assert {row[0] for row in rows} == {0}
    palette = chunks.get(b"PLTE", b"")
    return size, [row[1:] for row in rows], [tuple(palette[i : i + 3]) for i in range(0, len(palette), 3)]  # type: ignore[misc]


def dots(data: bytes) -> list[list[Colour]]:
    """The colours of a picture, line by line."""
    size, rows, palette = read_png(data)
    if size == 1:
        return [[palette[index] for index in row] for row in rows]
    return [[tuple(row[i : i + 3]) for i in range(0, len(row), 3)] for row in rows]  # type: ignore[misc]


@given(st.integers(1, 20), st.integers(1, 9), st.data())
def test_png_is_read_back(width: int, height: int, data: st.DataObject) -> None:
    pixels = data.draw(st.binary(min_size=width * height, max_size=width * height))
    palette = data.draw(st.lists(st.tuples(*[st.integers(0, 255)] * 3), min_size=1, max_size=256))
    assert read_png(png(width, height, pixels, palette)) == (
        1, [pixels[at : at + width] for at in range(0, len(pixels), width)], palette
    )  # fmt: skip
    assert read_png(png(width, height, pixels * 3)) == (
        3, [(pixels * 3)[at : at + 3 * width] for at in range(0, 3 * len(pixels), 3 * width)], []
    )  # fmt: skip


def test_code_page_437_has_a_character_and_a_glyph_for_each_code() -> None:
    assert (len(CHARACTERS), len(set(CHARACTERS))) == (256, 255)  # code 0 is a blank as 20h is
    font = [glyphs()[at : at + GLYPH_LINES] for at in range(0, len(glyphs()), GLYPH_LINES)]
    assert len(font) == 256
    assert [code for code in range(256) if any(font[code])] == [code for code in range(256) if code not in (0, 32, 255)]
    assert len(set(font)) > 240


def test_text_as_it_was_written(rig: Rig) -> None:
    rig.put(0, "┌─┐ é▒")
    rig.put(80 * 24 + 70, "the end!!!")
    assert rig.display.text() == ["┌─┐ é▒", *[""] * 23, " " * 70 + "the end!!!"]


def test_cells_have_colours(rig: Rig) -> None:
    rig.put(1, "x", 0x1E)
    rig.put(2, "y", 0x9E)
    assert rig.display.cells()[0][:3] == [Cell(" ", 7, 0), Cell("x", 14, 1), Cell("y", 14, 1, True)]
    rig.vga.read(0x2A)
    rig.vga.write(0x10, 1, 0x30)
    rig.vga.write(0x10, 1, 0x04)  # no blinking: 16 background colours
    assert rig.display.cells()[0][2] == Cell("y", 14, 9)


def test_the_start_address_scrolls(rig: Rig) -> None:
    rig.put(16384 - 80, "last of the window")
    rig.put(0, "first of the window")
    rig.crtc(0x0C, (16384 - 80) >> 8)
    rig.crtc(0x0D, (16384 - 80) & 0xFF)
    rig.cursor(16384)
    assert rig.display.text()[:2] == ["last of the window", ""], "a plane is twice as long as its window"
    cursor = rig.display.screen().cursor
    assert cursor is not None
    assert (cursor.row, cursor.column) == (1, 0)


def test_a_row_wraps_within_the_planes(rig: Rig) -> None:
    """In word mode bit 15 of the counter is bit 0 of the offset: from 32,768 on offsets are odd, and 65,536 is 0."""
    rig.put(0, "efgh")
    rig.crtc(0x0C, 0xFF)
    rig.crtc(0x0D, 0xFC)
    assert rig.display.text()[0] == "    efgh"


def test_the_cursor_may_be_off_or_away(rig: Rig) -> None:
    rig.cursor(81)
    assert rig.display.screen().cursor == Cursor(1, 1, 13, 14)
    rig.crtc(0x0A, 0x2D)
    assert rig.display.screen().cursor is None
    rig.crtc(0x0A, 0x0F)  # begins below its end
    assert rig.display.screen().cursor is None
    rig.crtc(0x0A, 0x0D)
    rig.cursor(80 * 25)
    assert rig.display.screen().cursor is None


def test_fifty_lines_of_eight(rig: Rig) -> None:
    rig.crtc(0x09, 0x47)
    rig.put(80 * 49, "line 50")
    assert rig.display.text()[49:] == ["line 50"]
    rows = dots(rig.display.png())
    assert (len(rows[0]), len(rows)) == (720, 400)
    assert any(set(row) - {BLACK} for row in rows[49 * 8 :])


def test_double_scan_shows_each_line_twice(rig: Rig) -> None:
    rig.crtc(0x09, 0xC7)
    rig.put(0, "A")
    rows = dots(rig.display.png())
    assert len(rig.display.text()) == 25
    assert rows[0:16:2] == rows[1:16:2]
    assert rows[2][:8] != rows[4][:8]


def test_the_picture_has_the_fonts_dots_in_the_cells_colours(rig: Rig) -> None:
    rig.put(80 + 1, "A", 0x1F)
    rig.cursor(2)
    rows = dots(rig.display.png())
    assert (len(rows[0]), len(rows)) == (720, 400)
    for line in range(16):
        pattern = f"{glyphs()[65 * GLYPH_LINES + line]:08b}0"
        assert rows[16 + line][9:18] == [WHITE if dot == "1" else BLUE for dot in pattern]
        assert rows[line][18:27] == [GREY if line in (13, 14) else BLACK] * 9
    assert {colour for row in rows[32:] for colour in row} == {BLACK}


def test_lines_join_over_the_ninth_dot(rig: Rig) -> None:
    rig.put(0, "──")
    assert [GREY] * 18 in [row[:18] for row in dots(rig.display.png())]
    rig.vga.write(0x14, 1, 1)
    rig.vga.write(0x15, 1, 1)  # eight dots a character
    assert len(dots(rig.display.png())[0]) == 640


def test_colours_come_through_palette_and_dac(rig: Rig) -> None:
    rig.vga.write(0x18, 1, 7)
    for part in (0x3F, 0, 0x3F):
        rig.vga.write(0x19, 1, part)
    assert rig.display.screen().colours[7] == (255, 0, 255)
    rig.vga.write(0x16, 1, 0x38)  # pixel mask: of colour 7 nothing is left
    assert rig.display.screen().colours[7] == BLACK


@pytest.mark.parametrize(
    ("index", "register", "value"),
    [(0x14, 1, 0x20), (0x14, 0, 0), (CRTC_INDEX, 0x17, 0x23)],
    ids=["screen off", "sequencer reset", "CRTC reset"],
)
def test_a_dark_screen_still_has_its_text(rig: Rig, index: int, register: int, value: int) -> None:
    rig.put(0, "text")
    rig.vga.write(index, 1, register)
    rig.vga.write(index + 1, 1, value)
    assert rig.display.text()[0] == "text"
    assert {colour for row in dots(rig.display.png()) for colour in row} == {BLACK}


def test_a_graphics_mode_has_no_text(rig: Rig) -> None:
    rig.vga.write(0x1E, 1, 6)
    rig.vga.write(0x1F, 1, 5)
    assert (rig.display.text(), rig.display.cells()) == ([], [])


@given(
    st.lists(st.tuples(st.integers(0, 47), st.integers(0, 255)), max_size=80),
    st.lists(st.tuples(st.integers(0, 24), st.integers(0, 255)), max_size=30),
    st.binary(max_size=64),
)
def test_whatever_the_guest_does_there_is_a_screen(
    writes: list[tuple[int, int]], crtc: list[tuple[int, int]], text: bytes
) -> None:
    rig = Rig()
    rig.crtc(0x11, 0)
    for register, value in crtc:
        rig.crtc(register, value)
    for offset, value in writes:
        rig.vga.write(offset, 1, value)
    rig.memory.write(TEXT_ADDRESS + TEXT_SIZE - len(text), text)
    screen = rig.display.screen()
    assert len(screen.rows) <= 1024
    assert {len(row) for row in screen.rows} <= {2 * screen.columns}
    picture = screen.picture()
    assert picture.height <= 1024
    assert picture.width <= 2 * 256 * 9
    assert len(picture.pixels) == picture.width * picture.height
