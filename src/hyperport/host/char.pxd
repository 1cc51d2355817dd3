# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint8_t, uint32_t
from hyperport.time.clock cimport Clock, Timer
from hyperport.lines.attention cimport Attention
from hyperport.lines.saved cimport Saved

cdef enum:
    INPUT_SIZE = 65536      # bytes waiting for the guest; a power of two
    OUTPUT_SIZE = 4096      # bytes waiting for the host
    LINE_SIZE = 512         # longest console line that is watched for a panic

cdef class CharBackend(Saved):
    cdef uint8_t input[INPUT_SIZE]
    cdef uint32_t head, tail
    cdef uint8_t output[OUTPUT_SIZE]
    cdef uint32_t output_used
    cdef char line[LINE_SIZE]
    cdef uint32_t line_used
    cdef Attention attention
    cdef Timer flush_timer
    cdef Clock clock
    cdef readonly bint panicked
    cdef readonly object panic_line
    cdef readonly unsigned long long bytes_out
    cdef int get(self) noexcept nogil
    cdef uint32_t waiting(self) noexcept nogil
    cdef void put(self, uint8_t byte) noexcept nogil
    cdef void put_block(self, const uint8_t *data, uint32_t count) noexcept nogil
    cdef void watch(self) noexcept nogil
    cdef void flush(self) noexcept nogil
    cdef uint32_t send(self, const uint8_t *data, uint32_t count) noexcept nogil
