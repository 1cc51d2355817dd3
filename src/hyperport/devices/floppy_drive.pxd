# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport int64_t, uint8_t, uint32_t

from hyperport.host.disk cimport Disk
from hyperport.lines.saved cimport Saved

cdef enum Rate:         # as in DSR and CCR, bits 1-0
    RATE_500 = 0        # kbit/s: 1.2 MB, 1.44 MB
    RATE_300 = 1        # 360 KB in a 1.2 MB drive
    RATE_250 = 2        # 720 KB
    RATE_1000 = 3       # 2.88 MB

cdef class FloppyDrive(Saved):
    cdef readonly Disk disk
    cdef readonly uint8_t kind      # as CMOS byte 10h has it: 2 is 1.2 MB, 4 is 1.44 MB, 5 is 2.88 MB
    cdef readonly uint8_t rate
    cdef readonly uint32_t cylinders, heads, sectors    # of the medium; 0 for none
    cdef readonly uint8_t cylinder  # where the heads are
    cdef readonly bint changed      # the DSKCHG line
    cdef readonly bint dirty        # written since the last flush
    cdef uint8_t rotation
    cdef bint loaded(self) noexcept nogil
    cdef bint step_to(self, int cylinder) noexcept nogil
    cdef uint32_t stretch(self) noexcept nogil
    cdef int64_t find(self, uint32_t cylinder, uint32_t head, uint32_t sector) noexcept nogil
    cdef uint32_t passing(self) noexcept nogil
    cdef int load_sector(self, int64_t number, uint8_t *data) noexcept nogil
    cdef int store_sector(self, int64_t number, const uint8_t *data) noexcept nogil
    cdef void settle(self) noexcept nogil
