# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint8_t, uint32_t

cdef uint32_t crc_of(const uint8_t *data, uint32_t count) noexcept nogil
cdef uint32_t filter_index(const uint8_t *address) noexcept nogil
cdef bint is_broadcast(const uint8_t *address) noexcept nogil
