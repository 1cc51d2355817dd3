# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint8_t, uint32_t

cdef enum:
    USER_DATA = 2048        # bytes of a sector that a data track is made of
    RAW_SECTOR = 2352       # all of it
    LEAD_IN = 150           # frames of two seconds before block 0, in times

cdef enum Part:             # of a raw sector in mode 1, by the bits of READ CD's byte 9 (MMC-3, READ CD)
    PART_SYNC = 0x80
    PART_SUBHEADER = 0x40   # mode 1 has none
    PART_HEADER = 0x20
    PART_USER = 0x10
    PART_ECC = 0x08         # EDC, eight zeros, ECC
    PART_BITS = 0xF8

cdef int parts_size(uint8_t parts) noexcept nogil
cdef uint32_t put_sector(uint8_t parts, uint32_t block, const uint8_t *user, uint8_t *to) noexcept nogil
cdef uint32_t msf_of(unsigned long long frames) noexcept nogil
