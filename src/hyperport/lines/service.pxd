# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint32_t, uint64_t

from hyperport.lines.saved cimport Saved

cdef class Service(Saved):
    cdef uint64_t serve(self, uint32_t number, const uint32_t *arguments) noexcept nogil
