# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t, uintptr_t

from hyperport.cpu.page_walk cimport Paging
from hyperport.cpu.vcpu cimport Vcpu
from hyperport.engines.unicorn.library cimport Library
from hyperport.engines.unicorn.places cimport KnownPlaces
from hyperport.lines.irq cimport IrqLine
from hyperport.memory.map cimport hp_map

cdef enum:
    MAX_LEAVES = 64
    INEXACT = 1             # a token: the core cannot tell where in its block the guest is

cdef struct CpuidLeaf:
    uint32_t leaf, eax, ebx, ecx, edx

cdef class UnicornVcpu(Vcpu):
    cdef Library *lib
    cdef void *uc
    cdef char *cpu
    cdef char *env
    cdef IrqLine ferr           # the pin FERR#: see fpu_error.pyx
    cdef bint running
    cdef uint64_t tsc_base      # what its TSC is ahead of the host's, besides what the guest has added
    cdef bint event_waits       # `event` is to be delivered before the guest goes on
    cdef object event           # an Event, or None
    cdef int event_vector
    cdef uint32_t event_error
    cdef bint event_interrupt
    cdef KnownPlaces places
    cdef const hp_map *map
    cdef uint32_t hits          # I/O breakpoints that the instruction at hand hits: retire() raises them
    cdef int32_t *left          # instructions until something is due; NULL: nobody counts. See fidelity/counting.h
    cdef bint begun             # the instruction at hand is counted, though it is not complete
    cdef CpuidLeaf leaves[MAX_LEAVES]
    cdef int leaf_count

    cdef _require_open(self)
    cdef Paging paging(self) noexcept nogil
    cdef void begin(self) noexcept nogil
    cdef void undo_begin(self) noexcept nogil
    cdef identify(self, more_leaves, khz)
    cdef void guest_cpuid(self) noexcept nogil
    cdef void load_flat(self, int offset, uint32_t selector, uint32_t flags) noexcept nogil
    cdef void set_segment(self, int offset, object segment)
    cdef object get_segment(self, int offset, uint32_t set_bits=*)
    cdef object get_fpu(self)
    cdef set_fpu(self, object fpu)
    cdef void refresh_hidden_flags(self) noexcept nogil
