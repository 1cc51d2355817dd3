# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint32_t

from hyperport.cpu.vcpu cimport Vcpu
from hyperport.io.hypercall cimport CallTable
from hyperport.io.path cimport PortPath
from hyperport.memory.ram cimport GuestMemory

cdef class ScriptedVcpu(Vcpu):
    cdef readonly PortPath path
    cdef readonly GuestMemory memory
    cdef CallTable table
    cdef uint32_t registers[8]
    cdef public uint32_t eip
    cdef public uint32_t eflags
    cdef public uint32_t cpl
    cdef public bint code32
    cdef public set absent          # numbers of pages that are not there
    cdef public dict limits         # number of a segment: the last offset in it; others are flat
    cdef public object allowed      # ports that may be accessed; None: all
    cdef public uint32_t retired    # bytes of the last instruction that was completed
    cdef int fault_vector
    cdef uint32_t fault_address
