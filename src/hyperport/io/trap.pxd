# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint64_t

from hyperport.cpu.decode cimport PortInstruction
from hyperport.cpu.vcpu cimport GuestCpu
from hyperport.io.path cimport PortPath

cdef class TrapPath(PortPath):
    cdef readonly uint64_t traps_profiled
    cdef uint64_t fault_began
    cdef readonly uint64_t fault_ticks
    cdef readonly uint64_t decode_ticks
    cdef readonly uint64_t simulate_ticks
    cdef void simulate(self, GuestCpu cpu, PortInstruction *instruction) noexcept nogil
