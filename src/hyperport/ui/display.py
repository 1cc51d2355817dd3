# SPDX-License-Identifier: GPL-2.0-or-later
"""What is on the screen: the VGA's registers and planes, or a frame buffer, made into text, cells and a picture.

A snapshot may be taken from any thread while the guest runs; then it may show half of a change, as a photograph of a
screen does. Sizes come from the guest's registers and are bounded by their widths: 256 columns, 1,024 scan lines.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hyperport.ui.png import png
from hyperport.ui.raster import Raster, smaller, true_colours

if TYPE_CHECKING:
    from hyperport.devices.vbe_dispi import VbeDispi
    from hyperport.devices.vga import Vga

# Code page 437: what Unicode has for the glyphs of the control characters, of 7Fh and of the rest.
LOW_GLYPHS: Final = " ☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼"
CHARACTERS: Final = LOW_GLYPHS + bytes(range(0x20, 0x7F)).decode() + "⌂" + bytes(range(0x80, 0x100)).decode("cp437")

# Registers and bits, with the names of the IBM manual that devices/vga.pyx cites.
MAXIMUM_SCAN_LINE, DOUBLE_SCAN = 0x09, 0x80
CURSOR_START, CURSOR_END, START_ADDRESS, CURSOR_LOCATION, ROW_OFFSET, CRTC_MODE = 0x0A, 0x0B, 0x0C, 0x0E, 0x13, 0x17
CURSOR_OFF, CRTC_RUNS, CURSOR_CELLS = 0x20, 0x80, 1 << 16
CLOCKING_MODE, SCREEN_OFF, SEQUENCER_RUNS = 1, 0x20, 0x03
ATTRIBUTE_MODE, BLINKS, PALETTE_ON = 0x10, 0x08, 0x20

Colour = tuple[int, int, int]
Frame = tuple[int, int, int, bytes]  # width, height, bits per pixel, pixels


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
class Picture:
    """Pixels line by line, of three bytes (red, green, blue), or with a palette of one, an index into it."""

    width: int
    height: int
    pixels: bytes
    palette: tuple[Colour, ...] | None = None

    def png(self) -> bytes:
        """As a PNG file."""
        return png(self.width, self.height, self.pixels, self.palette)

    def colours(self) -> bytes:
        """The pixels as red, green and blue, whatever they are kept as."""
        if self.palette is None:
            return self.pixels
        palette = [bytes(colour) for colour in self.palette]
        return b"".join([palette[pixel] for pixel in self.pixels])

    def smaller(self, columns: int, lines: int) -> bytes:
        """Red, green and blue of so many columns and lines, whose pixels are the means of those here."""
        return smaller(self.colours(), self.width, self.height, columns, lines)


@dataclass(frozen=True, slots=True)
class Screen:
    """The screen at one moment. rows: pairs of (code, attribute) bytes, a bytes object a row; none in graphics modes.

    lit: whether anything but black is shown. colours: the 16 colours as (red, green, blue).
    source: what picture() is made of.
    """

    columns: int
    rows: tuple[bytes, ...]
    cursor: Cursor | None
    blinks: bool  # bit 7 of an attribute means blinking, not a bright background
    lit: bool
    colours: tuple[Colour, ...]
    source: Source = field(repr=False)

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

    def picture(self) -> Picture:
        """All pixels: 720 by 400 in mode 3, in others as many as there are dots and lines. What blinks is shown."""
        return self.source.picture(lit=self.lit)


class Source:
    """What a picture is made of: the VGA's raster and its palette, or a frame buffer that is shown in its place."""

    def __init__(self, raster: Raster, palette: tuple[Colour, ...], mask: int, frame: Frame | None) -> None:
        self.raster = raster
        self.palette = palette
        self.mask = mask
        self.frame = frame

    def __eq__(self, other: object) -> bool:
        """Whether it gives the same picture, for all that can be told without making it."""
        return isinstance(other, Source) and self._contents() == other._contents()

    __hash__ = None  # type: ignore[assignment]

    def _contents(self) -> Any:
        return self.palette, self.mask, self.raster.source() if self.frame is None else self.frame

    def picture(self, *, lit: bool) -> Picture:
        """The picture; black if it is not lit."""
        if self.frame is None:
            width, height = self.raster.width, self.raster.height
            pixels = self.raster.pixels() if lit else bytes(width * height)
            return Picture(width, height, pixels, self.palette if lit else ((0, 0, 0),))
        width, height, bits, pixels = self.frame
        if bits <= 8:
            return Picture(
                width, height, pixels.translate(bytes(pixel & self.mask for pixel in range(256))), self.palette
            )
        return Picture(width, height, true_colours(pixels, bits))


class Display:
    """The screen on a VGA, and on the frame buffer that dispi shows in its place."""

    def __init__(self, vga: Vga, dispi: VbeDispi) -> None:
        self.vga = vga
        self.dispi = dispi

    def screen(self) -> Screen:
        """The screen now."""
        registers = self.vga.registers()
        crtc, attribute, sequencer = registers["crtc"], registers["attribute"], registers["sequencer"]
        raster = Raster(self.vga.plane_bytes(), registers)
        palette = _palette(registers["dac"], registers["dac_bits"])
        frame = self.dispi.frame()
        lines = (crtc[MAXIMUM_SCAN_LINE] & 0x1F) + 1 << bool(crtc[MAXIMUM_SCAN_LINE] & DOUBLE_SCAN)
        rows = () if frame or raster.graphic else tuple(raster.rows(max(1, raster.height // lines)))
        return Screen(
            columns=raster.columns,
            rows=rows,
            cursor=_cursor(crtc, raster.columns, len(rows)),
            blinks=bool(attribute[ATTRIBUTE_MODE] & BLINKS),
            lit=frame is not None
            or bool(
                registers["attribute_index"] & PALETTE_ON
                and not sequencer[CLOCKING_MODE] & SCREEN_OFF
                and sequencer[0] & SEQUENCER_RUNS == SEQUENCER_RUNS
                and crtc[CRTC_MODE] & CRTC_RUNS
            ),
            colours=tuple(palette[number] for number in raster.text_colours()),
            source=Source(raster, palette, registers["pel_mask"], frame),
        )

    def text(self) -> list[str]:
        """The lines on the screen, top first, without the blanks at their ends; none in a graphics mode."""
        return self.screen().text()

    def cells(self) -> list[list[Cell]]:
        """The characters on the screen with their colours, row by row."""
        return self.screen().cells()

    def png(self) -> bytes:
        """A picture of the screen as a PNG file."""
        return self.screen().picture().png()


def _word(crtc: bytes, register: int) -> int:
    return crtc[register] << 8 | crtc[register + 1]


def _cursor(crtc: bytes, columns: int, rows: int) -> Cursor | None:
    """The cursor, if it is on and on the screen."""
    first, last, pitch = crtc[CURSOR_START] & 0x1F, crtc[CURSOR_END] & 0x1F, crtc[ROW_OFFSET] * 2
    if crtc[CURSOR_START] & CURSOR_OFF or first > last or not pitch:
        return None
    row, column = divmod((_word(crtc, CURSOR_LOCATION) - _word(crtc, START_ADDRESS)) % CURSOR_CELLS, pitch)
    return Cursor(column, row, first, last) if column < columns and row < rows else None


def _palette(dac: bytes, bits: int) -> tuple[Colour, ...]:
    """The 256 colours of the DAC. bits: of a component, 6 or 8."""
    wide = dac if bits == 8 else bytes((part & 0x3F) << 2 | (part & 0x3F) >> 4 for part in dac)
    return tuple(zip(wide[::3], wide[1::3], wide[2::3], strict=True))
