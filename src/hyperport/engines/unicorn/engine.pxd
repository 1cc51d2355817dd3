# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint8_t, uint32_t, uint64_t, uintptr_t

from hyperport.engines.shared.run cimport Runs
from hyperport.engines.unicorn.code_filter cimport CodeFilter
from hyperport.engines.unicorn.code_pages cimport CodePages
from hyperport.engines.unicorn.hypercalls cimport Hypercalls
from hyperport.engines.unicorn.ports cimport Ports
from hyperport.engines.unicorn.fidelity.vcpu cimport MendedVcpu
from hyperport.io.path cimport PortPath
from hyperport.lines.listener cimport Listener
from hyperport.memory.ram cimport GuestMemory
from hyperport.time.insn_clock cimport InsnClock

cdef class UnicornEngine(MendedVcpu):
    cdef readonly PortPath path
    cdef Ports ports
    cdef GuestMemory memory
    cdef Listener pin
    cdef Runs runs
    cdef Hypercalls calls           # None: nothing is offered
    cdef readonly CodePages pages
    cdef CodeFilter filter
    cdef readonly str dead
    cdef public object guard    # see machine/guard.py; None: whoever comes
    cdef object khz             # of the TSC, as CPUID tells it
    cdef InsnClock insns        # None: time is not what the guest executes
    cdef void *counter          # the core's part of that
    cdef bint unmappable        # the core had no room for a block of the map
    cdef bint may_sleep         # in HLT, in this run

    cdef _ok(self, int error, str doing)
    cdef _open(self)
    cdef _map(self)
    cdef _hook(self)
    cdef _count(self)
    cdef void release(self) noexcept
    cdef bint deaf(self) noexcept nogil
    cdef bint service(self) noexcept nogil
    cdef bint sleep(self) noexcept nogil
    cdef uint64_t guest_loads(self, uint64_t address, uint32_t size) noexcept nogil
    cdef void guest_stores(self, uint64_t address, uint32_t size, uint64_t value) noexcept nogil
    cdef void map_changed(self) noexcept nogil
    cdef void guest_invalid_instruction(self) noexcept nogil
    cdef void guest_exception(self, uint32_t vector) noexcept nogil
    cdef void switch_a20(self, int level) noexcept nogil
