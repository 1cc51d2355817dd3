# SPDX-License-Identifier: GPL-2.0-or-later
"""What the VGA shows: registers (devices/vga.pyx) and text memory made into text, cells and a picture.

A snapshot may be taken from any thread while the guest runs; then it may show half of a change, as a photograph of a
screen does. Sizes come from the guest's registers and are bounded by their widths: 256 columns, 1,024 scan lines.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from hyperport.memory.ram import TEXT_ADDRESS, TEXT_SIZE, GuestMemory
from hyperport.ui.png import png

if TYPE_CHECKING:
    from hyperport.devices.vga import Vga

# Code page 437: what Unicode has for the glyphs of the control characters, of 7Fh and of the rest.
LOW_GLYPHS: Final = " ☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼"
CHARACTERS: Final = LOW_GLYPHS + bytes(range(0x20, 0x7F)).decode() + "⌂" + bytes(range(0x80, 0x100)).decode("cp437")
BLANK: Final = b" \x07"  # a space in light grey on black, with which firmware clears the screen

# Registers and bits, with the names of the IBM manual that devices/vga.pyx cites.
HORIZONTAL_DISPLAY_END, OVERFLOW, MAXIMUM_SCAN_LINE, VERTICAL_DISPLAY_END = 0x01, 0x07, 0x09, 0x12
CURSOR_START, CURSOR_END, START_ADDRESS, CURSOR_LOCATION, ROW_OFFSET, CRTC_MODE = 0x0A, 0x0B, 0x0C, 0x0E, 0x13, 0x17
DOUBLE_SCAN, CURSOR_OFF, CRTC_RUNS = 0x80, 0x20, 0x80
CLOCKING_MODE, EIGHT_DOTS, SCREEN_OFF, SEQUENCER_RUNS = 1, 0x01, 0x20, 0x03
GRAPHICS_MISC, GRAPHICS_MODE, MAP_B8000 = 6, 0x01, 0x0C
ATTRIBUTE_MODE, LINE_GRAPHICS, BLINKS, PALETTE_SPLIT = 0x10, 0x04, 0x08, 0x80
COLOUR_PLANES, COLOUR_SELECT, PALETTE_ON = 0x12, 0x14, 0x20

Colour = tuple[int, int, int]


class Cell(NamedTuple):
    """One character on the screen. Colours are indices from 0 to 15; black is 0, light grey 7."""

    character: str
    foreground: int
    background: int
    blinking: bool = False


class Cursor(NamedTuple):
    """Where the cursor is, and its first and last line within the character."""

    column: int
    row: int
    first_line: int
    last_line: int


@dataclass(frozen=True, slots=True)
class Screen:
    """The screen at one moment. rows: pairs of (code, attribute) bytes, a bytes object a row; none in graphics modes.

    line_count: scan lines of a row; glyph_lines: rows of dots in it, each shown once or twice. dots: 8 or 9 a
    character. lit: whether anything but black is shown. colours: the 16 colours as (red, green, blue).
    """

    columns: int
    rows: tuple[bytes, ...]
    cursor: Cursor | None
    line_count: int
    glyph_lines: int
    dots: int
    joins: bool  # the ninth dot of codes C0h to DFh repeats the eighth, so that lines have no gaps
    blinks: bool  # bit 7 of an attribute means blinking, not a bright background
    lit: bool
    colours: tuple[Colour, ...]

    def text(self) -> list[str]:
        """The lines, top first, without the blanks at their ends."""
        return ["".join(CHARACTERS[code] for code in row[::2]).rstrip() for row in self.rows]

    def cells(self) -> list[list[Cell]]:
        """The cells, row by row."""
        return [[self._cell(code, mode) for code, mode in zip(row[::2], row[1::2], strict=True)] for row in self.rows]

    def _cell(self, code: int, attribute: int) -> Cell:
        if self.blinks:
            return Cell(CHARACTERS[code], attribute & 0xF, attribute >> 4 & 7, attribute > 0x7F)
        return Cell(CHARACTERS[code], attribute & 0xF, attribute >> 4)

    def picture(self) -> bytes:
        """A PNG file: 720 by 400 dots in mode 3. What blinks is shown; a graphics mode gives a black picture."""
        if not self.rows or not self.lit:
            return png([bytes(640)] * 400, [(0, 0, 0)])
        glyphs = font(self.glyph_lines)
        pixels: list[bytes] = []
        cursor = self.cursor
        for number, row in enumerate(self.rows):
            codes = [(code, self._shade(attribute)) for code, attribute in zip(row[::2], row[1::2], strict=True)]
            repeat = self.line_count // self.glyph_lines
            for line in range(self.glyph_lines):
                dots = [self._dots(glyphs[code][line], code, shade) for code, shade in codes]
                if cursor and number == cursor.row and cursor.first_line <= line <= cursor.last_line:
                    dots[cursor.column] = bytes([codes[cursor.column][1] & 0xF]) * self.dots
                pixels += [b"".join(dots)] * repeat
        return png(pixels, self.colours)

    def _shade(self, attribute: int) -> int:
        """The attribute with only colours in it."""
        return attribute & 0x7F if self.blinks else attribute

    def _dots(self, pattern: int, code: int, shade: int) -> bytes:
        ninth = pattern & 1 if self.joins and 0xC0 <= code <= 0xDF else 0
        return _pixels(pattern << 1 | ninth, shade)[: self.dots]


class Display:
    """The screen on a VGA and the memory that its text is in."""

    def __init__(self, vga: Vga, memory: GuestMemory) -> None:
        self.vga = vga
        self.memory = memory
        self.memory.write(TEXT_ADDRESS, BLANK * (TEXT_SIZE // 2))  # as firmware leaves it

    def screen(self) -> Screen:
        """The screen now."""
        registers = self.vga.registers()
        crtc, attribute, sequencer = registers["crtc"], registers["attribute"], registers["sequencer"]
        graphics = registers["graphics"][GRAPHICS_MISC]
        glyph_lines = (crtc[MAXIMUM_SCAN_LINE] & 0x1F) + 1
        line_count = glyph_lines * (2 if crtc[MAXIMUM_SCAN_LINE] & DOUBLE_SCAN else 1)
        height = crtc[VERTICAL_DISPLAY_END] | (crtc[OVERFLOW] & 0x02) << 7 | (crtc[OVERFLOW] & 0x40) << 3
        columns, row_count = crtc[HORIZONTAL_DISPLAY_END] + 1, max(1, (height + 1) // line_count)
        pitch, start = crtc[ROW_OFFSET] * 2, _word(crtc, START_ADDRESS)
        is_text = not graphics & GRAPHICS_MODE and graphics & MAP_B8000 == MAP_B8000
        return Screen(
            columns=columns,
            rows=self._rows(start, pitch, columns, row_count) if is_text else (),
            cursor=_cursor(crtc, start, pitch, columns, row_count),
            line_count=line_count,
            glyph_lines=glyph_lines,
            dots=8 if sequencer[CLOCKING_MODE] & EIGHT_DOTS else 9,
            joins=bool(attribute[ATTRIBUTE_MODE] & LINE_GRAPHICS),
            blinks=bool(attribute[ATTRIBUTE_MODE] & BLINKS),
            lit=bool(
                registers["attribute_index"] & PALETTE_ON
                and not sequencer[CLOCKING_MODE] & SCREEN_OFF
                and sequencer[0] & SEQUENCER_RUNS == SEQUENCER_RUNS
                and crtc[CRTC_MODE] & CRTC_RUNS
            ),
            colours=_colours(attribute, registers["dac"], registers["pel_mask"]),
        )

    def text(self) -> list[str]:
        """The lines on the screen, top first, without the blanks at their ends; none in a graphics mode."""
        return self.screen().text()

    def cells(self) -> list[list[Cell]]:
        """The characters on the screen with their colours, row by row."""
        return self.screen().cells()

    def png(self) -> bytes:
        """A picture of the screen as a PNG file."""
        return self.screen().picture()

    def _rows(self, start: int, pitch: int, columns: int, count: int) -> tuple[bytes, ...]:
        text = self.memory.read(TEXT_ADDRESS, TEXT_SIZE) * 2  # the CRTC's address wraps, within a row as well
        begins = (2 * (start + pitch * row) % TEXT_SIZE for row in range(count))
        return tuple(text[begin : begin + 2 * columns] for begin in begins)


def _word(crtc: bytes, register: int) -> int:
    return crtc[register] << 8 | crtc[register + 1]


def _cursor(crtc: bytes, start: int, pitch: int, columns: int, rows: int) -> Cursor | None:
    """The cursor, if it is on and on the screen."""
    first, last = crtc[CURSOR_START] & 0x1F, crtc[CURSOR_END] & 0x1F
    if crtc[CURSOR_START] & CURSOR_OFF or first > last or not pitch:
        return None
    row, column = divmod((_word(crtc, CURSOR_LOCATION) - start) % (TEXT_SIZE // 2), pitch)
    return Cursor(column, row, first, last) if column < columns and row < rows else None


def _colours(attribute: bytes, dac: bytes, mask: int) -> tuple[Colour, ...]:
    """What the 16 colours of an attribute come out as: internal palette, colour select register, then the DAC."""
    found = []
    for number in range(16):
        entry = attribute[number & attribute[COLOUR_PLANES]]
        if attribute[ATTRIBUTE_MODE] & PALETTE_SPLIT:
            entry = entry & 0x0F | (attribute[COLOUR_SELECT] & 0x03) << 4
        entry = (entry | (attribute[COLOUR_SELECT] & 0x0C) << 4) & mask
        red, green, blue = (part << 2 | part >> 4 for part in dac[3 * entry : 3 * entry + 3])
        found.append((red, green, blue))
    return tuple(found)


@cache
def font(lines: int) -> tuple[bytes, ...]:
    """256 glyphs of that many rows of eight dots: the 8x8 font up to 12 lines, else the 8x16 font; cut or filled up."""
    text = (Path(__file__).parent / "cp437.hex").read_text("utf-8")
    glyphs = (line.split()[2 if lines <= 12 else 1] for line in text.splitlines() if not line.startswith("#"))
    return tuple(bytes.fromhex(glyph)[:lines].ljust(lines, b"\0") for glyph in glyphs)


@cache
def _pixels(pattern: int, shade: int) -> bytes:
    """Nine pixels for nine bits, the first the highest, in foreground (low half of shade) and background."""
    return bytes(shade & 0xF if pattern >> 8 - dot & 1 else shade >> 4 for dot in range(9))
