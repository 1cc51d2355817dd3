# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""The memory of a VGA: four planes of 64 KiB, and the graphics controller's way to them. vga.pyx owns it.

Source: IBM Personal System/2 Hardware Interface Technical Reference, "Video Subsystem" (1992): sequencer and graphics
controller; J. D. Neal, FreeVGA, "Accessing the VGA Display Memory".

An offset is an address within each plane. A load fills the latches with the four bytes of its offset, one a plane, and
answers with one of them (read mode 0) or with the pixels that have a colour (1). A store goes

    mode 0   byte rotated; in the planes that enable set/reset names, set/reset instead; logical function with the latches
    mode 1   the latches
    mode 2   bits 0 to 3, one a plane, as if by set/reset; logical function
    mode 3   set/reset; logical function; the byte, rotated, narrows the bit mask

and then, but in mode 1, keeps the latches' bits where the bit mask has zeros. The map mask says which planes take it.

How an address within the window becomes an offset and planes:

    sequential   the address; all planes
    odd/even     the address with bit 0 cleared (in a window of 128 KiB: with bit 16 in its place); bit 0 is the plane's:
                 0 and 2, or 1 and 3. Three registers have bits for this, for loads, for stores and for the offset
    chain 4      the address with bits 0 and 1 cleared; they are the plane's number

Memory lies so that the usual cases are plain. A dword holds the four bytes of an offset, and the dwords are in such an
order (place()) that a chain 4 address is the number of its byte: so mode 13h's window can be the memory itself, and so
can banks of a linear frame buffer. Text cannot be like that, since its two bytes would lie four apart: there the window
is RAM of the guest, and text_in() and text_out() move it when the mode changes.

Not modelled: the page bit of miscellaneous output, extended memory switched off (64 KiB cards), and the latches of loads
while a window is plain memory.
"""

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memset

from hyperport.memory.map cimport Region

cdef extern from "<sys/mman.h>" nogil:
    int madvise(void *address, size_t length, int advice)
    enum:
        MADV_DONTNEED

cdef enum:
    MAP_MASK = 2                # registers of the sequencer
    MEMORY_MODE = 4
    ODD_EVEN_OFF = 0x04         # of MEMORY_MODE
    CHAIN_4 = 0x08

    SET_RESET = 0               # registers of the graphics controller
    ENABLE_SET_RESET = 1
    COLOUR_COMPARE = 2
    ROTATE = 3                  # bits 0 to 2; bits 3 and 4 are the logical function
    READ_MAP = 4
    MODE = 5
    MISC = 6
    COLOUR_CARE = 7
    BIT_MASK = 8
    WRITE_MODE = 0x03           # of MODE
    READ_COMPARES = 0x08
    ODD_EVEN_READ = 0x10
    CHAINED = 0x02              # of MISC: bit 0 of the address is not the offset's
    ALL_PLANES = 0x0F
    TEXT_PLANES = 0x03

    FUNCTION_COPY = 0
    FUNCTION_AND = 1
    FUNCTION_OR = 2
    FUNCTION_XOR = 3

    FONT_PLANE = 2
    GLYPH_BYTES = 32            # from one character's to the next
    TEXT_BYTES = 32 << 10
    PLANES_BYTES = 4 * PLANE_BYTES
    HOST_PAGE = 4096

cdef uint32_t OTHER_PLANES = 0xFFFF0000

# By bits 3 and 2 of MISC: where the window is, less A0000h.
cdef uint32_t[4] WINDOW_FIRST = [0x00000, 0x00000, 0x10000, 0x18000]
cdef uint32_t[4] WINDOW_END = [0x20000, 0x10000, 0x18000, 0x20000]

# A bit for each plane -> a byte of ones for each.
cdef uint32_t[16] SPREAD = [
    0x00000000, 0x000000FF, 0x0000FF00, 0x0000FFFF, 0x00FF0000, 0x00FF00FF, 0x00FFFF00, 0x00FFFFFF,
    0xFF000000, 0xFF0000FF, 0xFF00FF00, 0xFF00FFFF, 0xFFFF0000, 0xFFFF00FF, 0xFFFFFF00, 0xFFFFFFFF]


cdef inline uint32_t four(uint32_t byte) noexcept nogil:
    return (byte & 0xFF) * 0x01010101


cdef class VgaPlanes:
    """memory: all of the card's, a power of two of bytes."""

    def __init__(self, Region memory not None):
        self.memory = memory
        self.dwords = <uint32_t *> memory.host()
        self.last = <uint32_t> (memory.size // 4 - 1)

    cdef void program(self, const uint8_t *sequencer, const uint8_t *graphics, bint enabled) noexcept nogil:
        """Take what the registers say. enabled: miscellaneous output lets the CPU reach memory at all."""
        cdef uint32_t select = graphics[MISC] >> 2 & 3
        cdef bint plain
        self.first, self.end = WINDOW_FIRST[select], WINDOW_END[select] if enabled else 0
        self.map_mask = SPREAD[sequencer[MAP_MASK]]
        self.set_reset = SPREAD[graphics[SET_RESET]]
        self.enable_set_reset = SPREAD[graphics[ENABLE_SET_RESET]]
        self.compare = SPREAD[graphics[COLOUR_COMPARE]]
        self.care = SPREAD[graphics[COLOUR_CARE]]
        self.bit_mask = four(graphics[BIT_MASK])
        self.rotate = graphics[ROTATE] & 7
        self.function = graphics[ROTATE] >> 3
        self.read_plane = graphics[READ_MAP]
        self.write_mode = graphics[MODE] & WRITE_MODE
        self.compares = graphics[MODE] & READ_COMPARES
        self.chain_4 = sequencer[MEMORY_MODE] & CHAIN_4
        self.odd_even_write = not sequencer[MEMORY_MODE] & ODD_EVEN_OFF
        self.odd_even_read = graphics[MODE] & ODD_EVEN_READ
        self.chained = graphics[MISC] & CHAINED
        plain = (enabled and not self.write_mode and not self.compares and not graphics[ROTATE]
                 and not graphics[ENABLE_SET_RESET] and graphics[BIT_MASK] == 0xFF)
        self.window = WINDOW_CHIP
        if plain and self.chain_4 and select == 1 and sequencer[MAP_MASK] == ALL_PLANES:
            self.window = WINDOW_LINEAR
        elif (plain and not self.chain_4 and select == 3 and sequencer[MAP_MASK] == TEXT_PLANES and self.chained
              and self.odd_even_write and self.odd_even_read and not self.read_plane & 2):
            self.window = WINDOW_TEXT

    # The guest's accesses; address is less A0000h.

    cdef uint32_t offset_of(self, uint32_t address) noexcept nogil:
        if self.chain_4:
            address &= 0xFFFC
        elif self.chained:
            address = address & 0xFFFE | (address >> 16 & 1 if self.end - self.first > PLANE_BYTES else 0)
        else:
            address &= 0xFFFF
        return self.bank + address & self.last

    cdef uint8_t load_byte(self, uint32_t address) noexcept nogil:
        cdef uint32_t plane, differs
        if not self.first <= address < self.end:
            return 0xFF
        address -= self.first
        self.latches = self.dwords[place(self.offset_of(address))]
        if self.compares:
            differs = (self.latches ^ self.compare) & self.care
            differs |= differs >> 16
            return ~(differs | differs >> 8) & 0xFF
        plane = self.read_plane
        if self.chain_4:
            plane = address & 3
        elif self.odd_even_read:
            plane = plane & 2 | address & 1
        return self.latches >> 8 * plane & 0xFF

    cdef void store_byte(self, uint32_t address, uint8_t value) noexcept nogil:
        cdef uint32_t planes = self.map_mask, mask = self.bit_mask, data, rotated, at
        if not self.first <= address < self.end:
            return
        address -= self.first
        if self.chain_4:
            planes &= SPREAD[1 << (address & 3)]
        elif self.odd_even_write:
            planes &= SPREAD[5 << (address & 1)]
        if not planes:
            return
        at = place(self.offset_of(address))
        rotated = four((value >> self.rotate) | (value << (8 - self.rotate)))
        if self.write_mode == 0:
            data = rotated & ~self.enable_set_reset | self.set_reset & self.enable_set_reset
        elif self.write_mode == 1:
            data = self.latches
            mask = 0xFFFFFFFF
        elif self.write_mode == 2:
            data = SPREAD[value & 0xF]
        else:
            data = self.set_reset
            mask &= rotated
        if self.write_mode != 1:
            if self.function == FUNCTION_AND:
                data &= self.latches
            elif self.function == FUNCTION_OR:
                data |= self.latches
            elif self.function == FUNCTION_XOR:
                data ^= self.latches
        data = data & mask | self.latches & ~mask
        self.dwords[at] = self.dwords[at] & ~planes | data & planes
        self.memory.dirtied(4 * <size_t> at, 4)

    # Text between its plain window and planes 0 and 1: TEXT_BYTES from B8000h on.

    cdef void text_in(self, const uint8_t *text) noexcept nogil:
        cdef uint32_t offset
        cdef uint32_t *both
        for offset in range(0, <uint32_t> TEXT_BYTES, 2):
            both = &self.dwords[place(offset)]
            both[0] = (both[0] & OTHER_PLANES) | text[offset] | (<uint32_t> text[offset + 1] << 8)
        self.memory.dirtied(0, PLANES_BYTES)

    cdef void text_out(self, uint8_t *text) noexcept nogil:
        cdef uint32_t offset, both
        for offset in range(0, <uint32_t> TEXT_BYTES, 2):
            both = self.dwords[place(offset)]
            text[offset], text[offset + 1] = <uint8_t> both, <uint8_t> (both >> 8)

    # For pictures, and what firmware leaves.

    cdef void copy(self, uint32_t *planes) noexcept nogil:
        """The planes, offset by offset, PLANE_BYTES dwords."""
        cdef uint32_t offset
        for offset in range(<uint32_t> PLANE_BYTES):
            planes[offset] = self.dwords[place(offset)]

    cdef void clear(self, size_t length) noexcept nogil:
        """Zeros in the first so many bytes of the memory. Pages go back to the host."""
        cdef size_t pages = length & ~<size_t> (HOST_PAGE - 1)
        if madvise(self.dwords, pages, MADV_DONTNEED):
            pages = 0
        memset(<uint8_t *> self.dwords + pages, 0, length - pages)
        self.memory.dirtied(0, length)

    cdef void set_font(self, const uint8_t *glyphs, uint32_t lines) noexcept nogil:
        """256 characters of so many lines into the first of the eight places for them."""
        cdef uint32_t code, line
        for code in range(256):
            for line in range(lines):
                (<uint8_t *> &self.dwords[place(GLYPH_BYTES * code + line)])[FONT_PLANE] = glyphs[code * lines + line]
