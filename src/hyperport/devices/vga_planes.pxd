# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint8_t, uint32_t

from hyperport.memory.map cimport Region

cdef enum:
    PLANE_BYTES = 1 << 16
    SEQUENCER_SIZE = 5
    GRAPHICS_SIZE = 9

cdef enum VgaWindow:        # what the guest's loads and stores reach, from A0000h to BFFFFh
    WINDOW_TEXT             # B8000h: plain memory, the characters and attributes of an odd/even mode
    WINDOW_LINEAR           # A0000h: plain memory, 64 KiB of the frame buffer
    WINDOW_CHIP             # the chip is asked

cdef class VgaPlanes:
    cdef Region memory              # all video memory; the planes are its first 256 KiB
    cdef uint32_t *dwords           # of it: the four planes' bytes of an offset, plane 0 lowest; see place()
    cdef uint32_t last              # the last offset that there is
    cdef uint32_t latches
    cdef uint32_t bank              # added to an offset
    # What the registers say, as masks of 32 bits: a byte for each plane.
    cdef uint32_t first, end        # addresses that the window answers, less A0000h
    cdef uint32_t map_mask, set_reset, enable_set_reset, bit_mask, compare, care
    cdef uint32_t write_mode, rotate, function, read_plane
    cdef bint compares, chain_4, odd_even_read, odd_even_write, chained
    cdef VgaWindow window           # the cheapest one that is right
    cdef void program(self, const uint8_t *sequencer, const uint8_t *graphics, bint enabled) noexcept nogil
    cdef uint32_t offset_of(self, uint32_t address) noexcept nogil
    cdef uint8_t load_byte(self, uint32_t address) noexcept nogil
    cdef void store_byte(self, uint32_t address, uint8_t value) noexcept nogil
    cdef void text_in(self, const uint8_t *text) noexcept nogil
    cdef void text_out(self, uint8_t *text) noexcept nogil
    cdef void copy(self, uint32_t *planes) noexcept nogil
    cdef void clear(self, size_t length) noexcept nogil
    cdef void set_font(self, const uint8_t *glyphs, uint32_t lines) noexcept nogil

cdef inline uint32_t place(uint32_t offset) noexcept nogil:
    """Which dword holds the planes' bytes of an offset: bits 0 and 1 go to the top of its 64 Ki."""
    return (offset & ~<uint32_t> 0xFFFF) | (offset & 3) << 14 | (offset & 0xFFFC) >> 2
