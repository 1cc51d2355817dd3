# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint32_t, uintptr_t

from hyperport.engines.unicorn.fidelity.vcpu cimport MendedVcpu
from hyperport.engines.unicorn.hypercalls cimport Hypercalls
from hyperport.engines.unicorn.library cimport Library
from hyperport.engines.unicorn.sites cimport Site, Sites
from hyperport.io.crossing cimport Crossing
from hyperport.io.hypercall cimport Call
from hyperport.io.path cimport PortPath

cdef class Ports:
    cdef PortPath path
    cdef Hypercalls calls           # None: nothing is offered
    cdef void *vcpu                 # whose accesses these are: a MendedVcpu, borrowed
    cdef Library *lib               # that vCPU's, as the next two
    cdef char *cpu
    cdef char *env
    cdef Sites sites

    cdef void connect(self, MendedVcpu vcpu) noexcept
    cdef void offer(self, Hypercalls calls)
    cdef void forget(self) noexcept nogil
    cdef void enter_guest(self) noexcept nogil
    cdef void leave_guest(self) noexcept nogil
    cdef inline uint32_t guest_in(self, uint32_t port, uint32_t size, uintptr_t caller) noexcept nogil
    cdef inline void guest_out(self, uint32_t port, uint32_t size, uint32_t value, uintptr_t caller) noexcept nogil
    cdef void trap(self, Crossing why, uintptr_t caller) noexcept nogil
    cdef void check(self, uint32_t port, uint32_t size, uintptr_t caller) noexcept nogil
    cdef bint look_at(self, uint32_t port, bint out, uintptr_t caller) noexcept nogil
    cdef bint call_at(self, Site *site) noexcept nogil
    cdef inline bint call_now(self, const Call *call, uintptr_t token) noexcept nogil
    cdef bint ring(self, Site *site) noexcept nogil
    cdef void string_at(self, Site *site) noexcept nogil
    cdef bint did_port_instruction(self, uint32_t vector) noexcept nogil

cdef int redirect_ports(Library *lib) except -1
cdef bint ring_alone(void *ports, const void *call) noexcept nogil
cdef void flush_code(void *cpu) noexcept nogil
