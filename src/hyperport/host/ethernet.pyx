# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""What every network chip computes of a frame: the CRC of IEEE 802.3, 3.2.9, and the index into a multicast filter."""

from libc.stdint cimport uint8_t, uint32_t

cdef uint32_t[256] CRC_TABLE    # bit-reversed: the polynomial EDB88320h


cdef void make_crc_table() noexcept nogil:
    cdef uint32_t i, value
    for i in range(256):
        value = i
        for _ in range(8):
            value = (value >> 1) ^ (<uint32_t> 0xEDB88320 if value & 1 else 0)
        CRC_TABLE[i] = value


make_crc_table()


cdef uint32_t crc_of(const uint8_t *data, uint32_t count) noexcept nogil:
    """The shift register after these bytes; the FCS is its complement, least significant byte first."""
    cdef uint32_t value = <uint32_t> 0xFFFFFFFF
    cdef uint32_t i
    for i in range(count):
        value = (value >> 8) ^ CRC_TABLE[(value ^ data[i]) & 0xFF]
    return value


cdef uint32_t filter_index(const uint8_t *address) noexcept nogil:
    """The upper six bits of the CRC of an address, 0 to 63; the register here runs backwards: bit 0 is the uppermost."""
    cdef uint32_t crc = crc_of(address, 6)
    cdef uint32_t index = 0
    cdef uint32_t i
    for i in range(6):
        index = index << 1 | crc >> i & 1
    return index


cdef bint is_broadcast(const uint8_t *address) noexcept nogil:
    cdef uint8_t both = 0xFF
    cdef uint32_t i
    for i in range(6):
        both &= address[i]
    return both == 0xFF
