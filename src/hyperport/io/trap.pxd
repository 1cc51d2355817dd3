# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint64_t

from hyperport.cpu.vcpu cimport Vcpu
from hyperport.io.crossing cimport CrossingHook
from hyperport.io.path cimport PortPath

cdef class FaultClock(CrossingHook):
    cdef uint64_t began

cdef class TrapPath(PortPath):
    cdef FaultClock clock
    cdef bint profiled
    cdef readonly uint64_t traps_profiled
    cdef uint64_t last_fault        # ticks of the trap at hand, once it is decoded
    cdef uint64_t last_decode
    cdef readonly uint64_t fault_ticks
    cdef readonly uint64_t decode_ticks
    cdef readonly uint64_t simulate_ticks

    cdef void sample(self, bint on) noexcept nogil
    cdef bint simulate_timed(self, Vcpu vcpu) noexcept nogil
