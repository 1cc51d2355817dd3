# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""What a VGA makes of its planes: dots line by line, as CRTC, sequencer and attribute controller do it.

Source: IBM Personal System/2 Hardware Interface Technical Reference, "Video Subsystem" (1992); FreeVGA, "CRT Controller".

For each scan line a counter of characters begins at the start address, or where the last row ended; it becomes an offset
in the planes (byte, word or doubleword mode; two of its bits may be the row scan counter's, for CGA's interleaved lines).
The four bytes there are eight dots of a graphics mode, or a character, its attribute, and a line of its glyph from
plane 2. A dot is a number of 4 bits that the attribute controller makes a colour of the DAC, or of 8 in 256-colour modes.

The picture has a pixel for each dot and scan line that a display would show, so 320 by 200 comes out as 640 by 400. What
blinks is shown. All sizes are bounded by the registers' widths: 4,608 dots, 1,024 lines.

Not modelled: skew, vertical scaling by two (CRTC mode control bit 2), shift load of 16 and 32 bits, overscan, nine dots in
graphics modes, a blinking palette in them.
"""

from cpython.bytes cimport PyBytes_AsString, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcpy, memset

cdef enum:
    # CRTC
    DISPLAY_END = 0x01          # characters less 1
    OVERFLOW = 0x07             # bits 8 and 9 of other registers
    PRESET_ROW_SCAN = 0x08      # bits 5 and 6: byte panning
    MAXIMUM_SCAN_LINE = 0x09    # lines of a row less 1
    CURSOR_START = 0x0A
    CURSOR_END = 0x0B
    START_HIGH = 0x0C
    START_LOW = 0x0D
    CURSOR_HIGH = 0x0E
    CURSOR_LOW = 0x0F
    VERTICAL_END = 0x12         # lines less 1
    ROW_OFFSET = 0x13           # half of what a row adds to the counter
    UNDERLINE = 0x14
    CRTC_MODE = 0x17
    LINE_COMPARE = 0x18
    DOUBLE_SCAN = 0x80          # of MAXIMUM_SCAN_LINE: each line twice
    CURSOR_OFF = 0x20           # of CURSOR_START
    ROW_BITS = 0x1F
    COUNT_BY_4 = 0x20           # of UNDERLINE
    DOUBLEWORD = 0x40
    NO_CGA_LINES = 0x01         # of CRTC_MODE: 0: bit 13 of the address is the row scan counter's bit 0
    NO_HERCULES_LINES = 0x02    # 0: bit 14 is its bit 1
    COUNT_BY_2 = 0x08
    WRAP_AT_64K = 0x20          # bit 0 in word mode is bit 15 of the counter, else bit 13
    BYTES = 0x40
    # Sequencer
    CLOCKING = 1
    CHARACTER_MAP = 3
    MEMORY_MODE = 4
    EIGHT_DOTS = 0x01           # of CLOCKING
    HALF_CLOCK = 0x08           # each dot is two wide
    EXTENDED = 0x02             # of MEMORY_MODE: there are two character maps
    # Graphics controller
    MODE = 5
    MISC = 6
    INTERLEAVED = 0x20          # of MODE: two bits of a byte are a dot, as CGA has it
    SHIFT_256 = 0x40            # four bits are
    GRAPHICS = 0x01             # of MISC
    # Attribute controller
    ATTRIBUTE_MODE = 0x10
    COLOUR_PLANES = 0x12
    PANNING = 0x13
    COLOUR_SELECT = 0x14
    MONOCHROME = 0x02           # of ATTRIBUTE_MODE: an attribute may underline
    LINE_GRAPHICS = 0x04        # the ninth dot of codes C0h to DFh repeats the eighth, so that lines have no gaps
    BLINKS = 0x08               # bit 7 of an attribute means blinking, not a bright background
    PANS_TOP_ONLY = 0x20        # behind line compare there is no panning
    EIGHT_BITS = 0x40           # two dots of four bits are one of eight
    PALETTE_SPLIT = 0x80        # bits 4 and 5 of a colour come from COLOUR_SELECT

    PLANES_BYTES = 4 << 16
    FONT_PLANE = 2
    GLYPH_BYTES = 32
    UNDERLINED = 0x01           # an attribute, but for brightness and blinking
    UNDERLINE_BITS = 0x77
    MOST_DOTS = 256 * 9

# Where the eight fonts are in plane 2, in KiB.
cdef uint32_t[8] FONT_KIB = [0, 16, 32, 48, 8, 24, 40, 56]


cdef class Raster:
    """planes: Vga.plane_bytes(). registers: Vga.registers()."""

    cdef bytes planes, crtc_bytes, sequencer_bytes, graphics_bytes, attribute_bytes
    cdef const uint8_t *memory
    cdef const uint8_t *crtc
    cdef const uint8_t *sequencer
    cdef const uint8_t *graphics
    cdef const uint8_t *attribute
    cdef uint8_t colours[16]            # of four bits, as numbers of the DAC
    cdef uint8_t pel_mask
    cdef readonly uint32_t columns, dots, height

    def __init__(self, bytes planes not None, dict registers not None):
        cdef uint32_t number, entry
        if len(planes) != PLANES_BYTES:
            raise ValueError(f"{len(planes)} bytes are no planes")
        self.planes = planes
        self.crtc_bytes, self.sequencer_bytes = registers["crtc"], registers["sequencer"]
        self.graphics_bytes, self.attribute_bytes = registers["graphics"], registers["attribute"]
        self.memory = <const uint8_t *> PyBytes_AsString(planes)
        self.crtc = <const uint8_t *> PyBytes_AsString(self.crtc_bytes)
        self.sequencer = <const uint8_t *> PyBytes_AsString(self.sequencer_bytes)
        self.graphics = <const uint8_t *> PyBytes_AsString(self.graphics_bytes)
        self.attribute = <const uint8_t *> PyBytes_AsString(self.attribute_bytes)
        self.pel_mask = registers["pel_mask"]
        self.columns = self.crtc[DISPLAY_END] + 1
        self.dots = 8 if self.is_graphics() or self.sequencer[CLOCKING] & EIGHT_DOTS else 9
        self.height = 1 + (self.crtc[VERTICAL_END] | (self.crtc[OVERFLOW] & 0x02) << 7 | (self.crtc[OVERFLOW] & 0x40) << 3)
        for number in range(16):
            entry = self.attribute[number & self.attribute[COLOUR_PLANES]]
            if self.attribute[ATTRIBUTE_MODE] & PALETTE_SPLIT:
                entry = entry & 0x0F | (self.attribute[COLOUR_SELECT] & 0x03) << 4
            self.colours[number] = <uint8_t> ((entry | (self.attribute[COLOUR_SELECT] & 0x0C) << 4) & self.pel_mask)

    cdef bint is_graphics(self) noexcept nogil:
        return self.graphics[MISC] & GRAPHICS

    @property
    def graphic(self):
        """Whether dots come from all planes; else characters are shown."""
        return bool(self.is_graphics())

    @property
    def width(self):
        """Of the picture, in pixels."""
        return self.columns * self.dots * (2 if self.sequencer[CLOCKING] & HALF_CLOCK else 1)

    def source(self):
        """All that the picture depends on, to compare."""
        return (self.planes, self.crtc_bytes, self.sequencer_bytes, self.graphics_bytes, self.attribute_bytes)

    def text_colours(self):
        """What the 16 colours of an attribute come out as: numbers of the DAC."""
        return [self.colours[number] for number in range(16)]

    def rows(self, uint32_t count):
        """The first so many rows of characters, from the start address on: a bytes object a row, (code, attribute) pairs."""
        cdef uint32_t row, column, counter, at
        cdef bytes made
        cdef uint8_t *pairs
        found = []
        for row in range(count):
            made = PyBytes_FromStringAndSize(NULL, 2 * self.columns)
            pairs = <uint8_t *> PyBytes_AsString(made)
            counter = self.start() + row * self.pitch()
            for column in range(self.columns):
                at = 4 * self.offset(counter + (column >> self.slower()), 0)
                pairs[2 * column], pairs[2 * column + 1] = self.memory[at], self.memory[at + 1]
            found.append(made)
        return found

    def pixels(self):
        """The picture, a byte a pixel: a number of the DAC's."""
        cdef bint split = False, second = False, wide = self.sequencer[CLOCKING] & HALF_CLOCK
        cdef uint32_t shown = self.columns * self.dots, width = self.width
        cdef uint32_t compare = (self.crtc[LINE_COMPARE] | (self.crtc[OVERFLOW] & 0x10) << 4
                                 | (self.crtc[MAXIMUM_SCAN_LINE] & 0x40) << 3)
        cdef uint32_t counter = self.start(), row = self.crtc[PRESET_ROW_SCAN] & ROW_BITS, line, x
        cdef uint32_t bytes_on = self.crtc[PRESET_ROW_SCAN] >> 5 & 3, dots_on = self.panning()
        cdef uint8_t dots[MOST_DOTS + 2 * 9]
        cdef bytes made = PyBytes_FromStringAndSize(NULL, <Py_ssize_t> width * self.height)
        cdef uint8_t *out = <uint8_t *> PyBytes_AsString(made)
        for line in range(self.height):
            if self.is_graphics():
                self.draw_graphics(dots, counter + bytes_on, row)
            else:
                self.draw_text(dots, counter + bytes_on, row)
            if wide:
                for x in range(shown):
                    out[2 * x] = out[2 * x + 1] = dots[dots_on + x]
            else:
                memcpy(out, dots + dots_on, shown)
            out += width
            if line == compare and not split:
                split, second, counter, row = True, False, 0, 0
                if self.attribute[ATTRIBUTE_MODE] & PANS_TOP_ONLY:
                    bytes_on = dots_on = 0
            elif self.crtc[MAXIMUM_SCAN_LINE] & DOUBLE_SCAN and not second:
                second = True
            else:
                second = False
                if row == (self.crtc[MAXIMUM_SCAN_LINE] & ROW_BITS):
                    row = 0
                    counter += self.pitch()
                else:
                    row = row + 1 & ROW_BITS
        return made

    # The CRTC.

    cdef uint32_t start(self) noexcept nogil:
        return self.crtc[START_HIGH] << 8 | self.crtc[START_LOW]

    cdef uint32_t pitch(self) noexcept nogil:
        return 2 * <uint32_t> self.crtc[ROW_OFFSET]

    cdef uint32_t slower(self) noexcept nogil:
        """The counter counts every character, every second or every fourth: as a shift."""
        return 2 if self.crtc[UNDERLINE] & COUNT_BY_4 else 1 if self.crtc[CRTC_MODE] & COUNT_BY_2 else 0

    cdef uint32_t panning(self) noexcept nogil:
        """Dots that the picture is shifted to the left by."""
        cdef uint32_t value = self.attribute[PANNING] & 0xF
        if self.dots == 9:
            return 0 if value >= 8 else value + 1
        return value & 7

    cdef uint32_t offset(self, uint32_t counter, uint32_t row) noexcept nogil:
        """Where in the planes the counter points to."""
        if self.crtc[UNDERLINE] & DOUBLEWORD:
            counter = counter << 2 | counter >> 14 & 3
        elif not self.crtc[CRTC_MODE] & BYTES:
            counter = counter << 1 | counter >> (15 if self.crtc[CRTC_MODE] & WRAP_AT_64K else 13) & 1
        if not self.crtc[CRTC_MODE] & NO_CGA_LINES:
            counter = counter & ~<uint32_t> 0x2000 | (row & 1) << 13
        if not self.crtc[CRTC_MODE] & NO_HERCULES_LINES:
            counter = counter & ~<uint32_t> 0x4000 | (row & 2) << 13
        return counter & 0xFFFF

    # A line of dots: self.columns characters, and one more for panning.

    cdef void draw_text(self, uint8_t *dots, uint32_t counter, uint32_t row) noexcept nogil:
        cdef uint32_t column, i, code, attribute, pattern
        cdef uint32_t place, cursor = self.crtc[CURSOR_HIGH] << 8 | self.crtc[CURSOR_LOW]
        cdef uint32_t maps = self.sequencer[CHARACTER_MAP]
        cdef uint32_t font_b = FONT_KIB[maps & 3 | maps >> 2 & 4] << 10      # of characters whose attribute's bit 3 is 0
        cdef uint32_t font_a = FONT_KIB[maps >> 2 & 3 | maps >> 3 & 4] << 10
        cdef uint32_t mode = self.attribute[ATTRIBUTE_MODE], dark
        cdef bint cursor_row = (not self.crtc[CURSOR_START] & CURSOR_OFF
                                and self.crtc[CURSOR_START] & ROW_BITS <= row <= self.crtc[CURSOR_END] & ROW_BITS)
        cdef uint8_t fore, back
        if not self.sequencer[MEMORY_MODE] & EXTENDED:
            font_a = font_b = 0
        for column in range(self.columns + 1):
            place = counter + (column >> self.slower())
            i = 4 * self.offset(place, row)
            code, attribute = self.memory[i], self.memory[i + 1]
            pattern = self.memory[4 * ((font_a if attribute & 8 else font_b) + GLYPH_BYTES * code + row) + FONT_PLANE] << 1
            if mode & LINE_GRAPHICS and 0xC0 <= code <= 0xDF:
                pattern |= pattern >> 1 & 1
            dark = attribute >> 4
            if mode & BLINKS:
                dark &= 7
            if (cursor_row and place & 0xFFFF == cursor) or (
                    mode & MONOCHROME and attribute & UNDERLINE_BITS == UNDERLINED
                    and row == self.crtc[UNDERLINE] & ROW_BITS):
                pattern = 0x1FF
            fore, back = self.colours[attribute & 0xF], self.colours[dark]
            for i in range(self.dots):
                dots[i] = fore if pattern >> (8 - i) & 1 else back
            dots += self.dots

    cdef void draw_graphics(self, uint8_t *dots, uint32_t counter, uint32_t row) noexcept nogil:
        cdef uint32_t column, i
        cdef const uint8_t *four
        cdef uint32_t mode = self.graphics[MODE]
        cdef bint eight_bits = self.attribute[ATTRIBUTE_MODE] & EIGHT_BITS
        for column in range(self.columns + 1):
            four = self.memory + 4 * self.offset(counter + (column >> self.slower()), row)
            for i in range(8):
                if mode & SHIFT_256:
                    if eight_bits:
                        dots[i] = four[i >> 1] & self.pel_mask
                    else:
                        dots[i] = self.colours[four[i >> 1] >> (0 if i & 1 else 4) & 0xF]
                elif mode & INTERLEAVED:
                    dots[i] = self.colours[pair(four[i >> 2], i & 3) | pair(four[2 + (i >> 2)], i & 3) << 2]
                else:
                    dots[i] = self.colours[bit(four[0], i) | bit(four[1], i) << 1 | bit(four[2], i) << 2
                                           | bit(four[3], i) << 3]
            dots += 8


cdef inline uint32_t bit(uint32_t byte, uint32_t number) noexcept nogil:
    """From the left."""
    return byte >> (7 - number) & 1


cdef inline uint32_t pair(uint32_t byte, uint32_t number) noexcept nogil:
    """Two bits, from the left."""
    return byte >> (6 - 2 * number) & 3


def true_colours(bytes pixels not None, uint32_t bits):
    """Pixels of 15, 16, 24 or 32 bits, lowest byte first, as red, green and blue of 8 bits."""
    cdef uint32_t size = (bits + 7) // 8, value
    cdef Py_ssize_t count = len(pixels) // size, _i
    cdef const uint8_t *source = <const uint8_t *> PyBytes_AsString(pixels)
    cdef bytes made = PyBytes_FromStringAndSize(NULL, 3 * count)
    cdef uint8_t *out = <uint8_t *> PyBytes_AsString(made)
    for _i in range(count):
        if bits > 16:
            out[0], out[1], out[2] = source[2], source[1], source[0]
        else:
            value = source[0] | source[1] << 8
            if bits == 15:
                out[0], out[1] = wider(value >> 10, 5), wider(value >> 5, 5)
            else:
                out[0], out[1] = wider(value >> 11, 5), wider(value >> 5, 6)
            out[2] = wider(value, 5)
        source += size
        out += 3
    return made


cdef inline uint8_t wider(uint32_t value, uint32_t bits) noexcept nogil:
    """A component of 5 or 6 bits as one of 8: all ones stay all ones."""
    value &= (1 << bits) - 1
    return <uint8_t> (value << (8 - bits) | value >> (2 * bits - 8))


def smaller(bytes pixels not None, uint32_t width, uint32_t height, uint32_t columns, uint32_t lines):
    """A picture in red, green and blue with so many columns and lines: each is the mean of the pixels that it covers."""
    cdef uint32_t x, y, left, right, top, bottom, i, k
    cdef uint32_t total[3]
    cdef const uint8_t *source = <const uint8_t *> PyBytes_AsString(pixels)
    cdef const uint8_t *at
    cdef bytes made
    cdef uint8_t *out
    if not columns or not lines or <size_t> len(pixels) != <size_t> 3 * width * height:
        raise ValueError("no such picture")
    made = PyBytes_FromStringAndSize(NULL, 3 * <Py_ssize_t> columns * lines)
    out = <uint8_t *> PyBytes_AsString(made)
    for y in range(lines):
        top, bottom = y * height // lines, max((y + 1) * height // lines, y * height // lines + 1)
        for x in range(columns):
            left, right = x * width // columns, max((x + 1) * width // columns, x * width // columns + 1)
            memset(total, 0, sizeof(total))
            for i in range(top, bottom):
                at = source + 3 * (<size_t> i * width + left)
                for k in range(3 * (right - left)):
                    total[k % 3] += at[k]
            for k in range(3):
                out[k] = <uint8_t> (total[k] // ((right - left) * (bottom - top)))
            out += 3
    return made
