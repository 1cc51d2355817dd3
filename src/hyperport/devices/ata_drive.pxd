# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from hyperport.host.disk cimport SECTOR
from hyperport.devices.ide_drive cimport IdeDrive

cdef class AtaDrive(IdeDrive):
    cdef bytes serial
    cdef const char *serial_text
    cdef uint32_t own_heads, own_track  # of the disk itself, as IDENTIFY DEVICE tells
    cdef uint32_t heads, track      # of the current translation: heads a cylinder, sectors a track
    cdef uint32_t multiple          # sectors of a block of READ and WRITE MULTIPLE; 0: they are off
    cdef bint write_cache, look_ahead, keep_settings, standby
    cdef uint64_t lba               # the next sector on the disk
    cdef uint32_t left              # sectors that are still to be read from it, or written to it
    cdef uint32_t block             # sectors of a DRQ block of the running command
    cdef int running                # its action
    cdef bint wide                  # its address has 48 bits
    cdef uint8_t scratch[SECTOR]    # of WRITE BUFFER and READ BUFFER
    cdef void perform(self, int action) noexcept nogil
    cdef void access(self, int action) noexcept nogil
    cdef bint locate(self, int action) noexcept nogil
    cdef void answer_address(self, uint64_t sector, uint32_t left) noexcept nogil
    cdef void fetch(self) noexcept nogil
    cdef void store(self) noexcept nogil
    cdef void verify(self) noexcept nogil
    cdef void flush(self) noexcept nogil
    cdef void set_features(self) noexcept nogil
    cdef void set_multiple(self) noexcept nogil
    cdef void identify(self) noexcept nogil
    cdef uint32_t cylinders(self) noexcept nogil
