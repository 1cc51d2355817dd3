# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from hyperport.bus.device cimport PortDevice
from hyperport.devices.vga_planes cimport GRAPHICS_SIZE, SEQUENCER_SIZE, VgaPlanes, VgaWindow
from hyperport.memory.map cimport Region
from hyperport.memory.ram cimport GuestMemory
from hyperport.time.clock cimport Clock

cdef enum:
    CRTC_SIZE = 25
    ATTRIBUTE_SIZE = 21
    DAC_SIZE = 768

cdef class Vga(PortDevice):
    cdef Clock clock
    cdef GuestMemory memory
    cdef Region frame               # all of video memory
    cdef Region linear              # 64 KiB of it, at A0000h
    cdef Region low, high           # device memory at A0000h and B0000h; None: of no machine
    cdef VgaPlanes planes
    cdef VgaWindow window           # what the guest sees now
    cdef uint8_t misc, enable, feature
    cdef uint8_t crtc_index, sequencer_index, graphics_index, attribute_index
    cdef uint8_t crtc[CRTC_SIZE]
    cdef uint8_t sequencer[SEQUENCER_SIZE]
    cdef uint8_t graphics[GRAPHICS_SIZE]
    cdef uint8_t attribute[ATTRIBUTE_SIZE]
    cdef bint data_next             # the attribute controller's flip-flop
    cdef uint8_t pel_mask
    cdef uint8_t dac[DAC_SIZE]
    cdef uint8_t dac_bits           # that a colour's component has
    cdef uint32_t dac_index         # in dac, counted in bytes: colour * 3 + component
    cdef uint8_t dac_write_index    # what 3C8h reads back
    cdef uint8_t dac_state
    cdef uint8_t dac_latch[3]       # components written; the colour changes with the third
    cdef uint64_t polled_at         # ns of the last read of input status 1
    cdef uint64_t beam_lead         # ns that the beam is ahead of the clock
    cdef bint banked                # the window is a bank of video memory, whatever the registers say
    cdef uint32_t bank
    cdef uint32_t read_crtc(self, uint32_t offset) noexcept nogil
    cdef uint32_t crtc_offset(self, uint32_t offset) noexcept nogil
    cdef uint32_t read_status_1(self) noexcept nogil
    cdef uint32_t read_dac(self) noexcept nogil
    cdef void write_crtc(self, uint32_t offset, uint8_t byte) noexcept nogil
    cdef void write_attribute(self, uint8_t byte) noexcept nogil
    cdef void write_dac(self, uint8_t byte) noexcept nogil
    cdef void decode(self) noexcept nogil
    cdef VgaWindow wanted(self) noexcept nogil
    cdef void programmed(self) noexcept nogil
    cdef void show_window(self) noexcept nogil
    cdef void text_written(self) noexcept nogil
    cdef void banks(self, bint linear, uint32_t bank, uint32_t offsets, bint wide_dac, bint moves) noexcept nogil
    cdef bint has_attribute(self) noexcept nogil
    cdef void step_dac(self) noexcept nogil
