# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from hyperport.devices.ide_drive cimport IdeDrive

cdef enum:
    PACKET_SIZE = 12

cdef class AtapiCdrom(IdeDrive):
    cdef uint8_t packet[PACKET_SIZE]
    cdef uint32_t limit             # bytes of a DRQ block at most, as the host says with PACKET
    cdef bint odd                   # the last byte of the buffer is padding
    cdef uint32_t lba, left         # the next block of 2,048 bytes on the disc, and how many are still to be fetched
    cdef uint8_t key, asc, ascq     # sense data of the last packet command
    cdef uint8_t attention          # the additional sense code of a UNIT ATTENTION that waits
    cdef bint open_tray, locked
    cdef uint32_t blocks(self) noexcept nogil
    cdef uint32_t number(self, int offset, int size) noexcept nogil
    cdef void perform(self) noexcept nogil
    cdef void answer(self, uint8_t action) noexcept nogil
    cdef void sense(self, uint8_t key, uint8_t asc, uint8_t ascq) noexcept nogil
    cdef void finished(self) noexcept nogil
    cdef void reply(self, uint32_t size, uint32_t allocated) noexcept nogil
    cdef void pass_on(self) noexcept nogil
    cdef void set_byte_count(self, uint32_t bytes) noexcept nogil
    cdef void fetch(self) noexcept nogil
    cdef void read(self, uint32_t first, uint32_t count) noexcept nogil
    cdef void start_stop(self) noexcept nogil
    cdef void table_of_contents(self) noexcept nogil
    cdef void toc_entry(self, uint32_t at, uint8_t track, uint32_t block, bint time) noexcept nogil
    cdef void mode_sense(self) noexcept nogil
    cdef void event_status(self) noexcept nogil
    cdef void configuration(self) noexcept nogil
    cdef void identify(self) noexcept nogil
    cdef void put_number(self, uint32_t at, uint32_t value, int size) noexcept nogil
