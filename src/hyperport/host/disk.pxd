# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef enum:
    SECTOR = 512            # bytes
    COPY_PAGE = 4096        # bytes of an overlay's map that are written at once

cdef class Disk:
    cdef readonly uint64_t sectors
    cdef readonly bint writable
    cdef readonly uint64_t failures
    cdef readonly int last_errno
    cdef int read(self, uint64_t first, uint32_t count, uint8_t *data) noexcept nogil
    cdef int write(self, uint64_t first, uint32_t count, const uint8_t *data) noexcept nogil
    cdef int flush(self) noexcept nogil
    cdef int do_read(self, uint64_t first, uint32_t count, uint8_t *data) noexcept nogil
    cdef int do_write(self, uint64_t first, uint32_t count, const uint8_t *data) noexcept nogil
    cdef int do_flush(self) noexcept nogil
    cdef int counted(self, int error) noexcept nogil

cdef class MemoryDisk(Disk):
    cdef uint8_t *data
    cdef uint64_t bad_from
    cdef int bad_errno

cdef class RawDisk(Disk):
    cdef readonly int fd
    cdef int lost               # the errno of a flush that failed
    cdef uint64_t end           # of the image's file, in bytes: within the last sector, or at its end
    cdef int durably(self) noexcept nogil
    cdef int give_back(self) noexcept nogil

cdef class OverlayDisk(RawDisk):
    cdef readonly int base_fd
    cdef uint64_t map_offset, data_offset, map_bytes
    cdef uint8_t *map           # a bit for each sector: it is in the overlay
    cdef uint8_t *stale         # a byte for each page of the map: the file does not have it yet
    cdef readonly bint durable
    cdef bint any_stale
    cdef bint here(self, uint64_t sector) noexcept nogil
    cdef uint32_t run_of(self, uint64_t first, uint32_t count) noexcept nogil
