# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint8_t, uint32_t, uint64_t, uintptr_t

from hyperport.engines.shared.run cimport Runs
from hyperport.engines.unicorn.code_filter cimport CodeFilter
from hyperport.engines.unicorn.code_pages cimport CodePages
from hyperport.engines.unicorn.hypercalls cimport Hypercalls
from hyperport.engines.unicorn.sites cimport Site, Sites
from hyperport.engines.unicorn.fidelity.vcpu cimport MendedVcpu
from hyperport.io.path cimport PortPath
from hyperport.lines.listener cimport Listener
from hyperport.memory.ram cimport GuestMemory

cdef class UnicornEngine(MendedVcpu):
    cdef readonly PortPath path
    cdef GuestMemory memory
    cdef Listener pin
    cdef Runs runs
    cdef Hypercalls calls           # None: nothing is offered
    cdef readonly CodePages pages
    cdef Sites sites
    cdef CodeFilter filter
    cdef readonly str dead
    cdef public object guard    # see machine/guard.py; None: whoever comes
    cdef bint delivering        # an event other than INT n

    cdef _ok(self, int error, str doing)
    cdef _open(self)
    cdef _map(self)
    cdef _hook(self)
    cdef void release(self) noexcept
    cdef bint service(self) noexcept nogil
    cdef void deliver_event(self) noexcept nogil
    cdef uint32_t guest_in(self, uint32_t port, uint32_t size, uintptr_t caller) noexcept nogil
    cdef void guest_out(self, uint32_t port, uint32_t size, uint32_t value, uintptr_t caller) noexcept nogil
    cdef bint look_at(self, uint32_t port, bint out, uintptr_t caller) noexcept nogil
    cdef bint ring(self, Site *site) noexcept nogil
    cdef void string_at(self, Site *site) noexcept nogil
    cdef void guest_misses_memory(self) noexcept nogil
    cdef void guest_invalid_instruction(self) noexcept nogil
    cdef void guest_exception(self, uint32_t vector) noexcept nogil
    cdef bint did_port_instruction(self, uint32_t vector) noexcept nogil
    cdef void guest_sysenter(self) noexcept nogil
    cdef void switch_a20(self, int level) noexcept nogil
