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
    cdef int wires              # modem inputs as in MSR bits 4-7, or -1: a null-modem cable whose end is always there
    cdef readonly uint32_t divisor      # of the chip's line, and its LCR and MCR: what the host's end may follow
    cdef readonly uint8_t line_control, modem_control
    cdef void line_changed(self) noexcept nogil
    cdef void outputs_changed(self) noexcept nogil
    cdef void look_at_wires(self) noexcept nogil
    cdef void tell_line(self, uint32_t divisor, uint8_t line_control) noexcept nogil
    cdef void tell_outputs(self, uint8_t modem_control) noexcept nogil
    cdef int get(self) noexcept nogil
    cdef uint32_t waiting(self) noexcept nogil
    cdef void put(self, uint8_t byte) noexcept nogil
    cdef void put_block(self, const uint8_t *data, uint32_t count) noexcept nogil
    cdef void watch(self) noexcept nogil
    cdef void flush(self) noexcept nogil
    cdef uint32_t send(self, const uint8_t *data, uint32_t count) noexcept nogil

cdef class FdBackend(CharBackend):
    cdef readonly int fd
    cdef readonly object where
    cdef readonly object failure
    cdef readonly unsigned long long lost
    cdef readonly bint broken
    cdef readonly bint reconnects
    cdef bint stuck
    cdef void fail(self, int error) noexcept with gil
    cdef void hear_signals(self) noexcept with gil
