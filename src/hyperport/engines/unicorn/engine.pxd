# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t, uintptr_t

from hyperport.bus.device cimport PortDevice
from hyperport.lines.interrupt_controller cimport InterruptController
from hyperport.engines.shared.look_up cimport LookUp
from hyperport.engines.unicorn.code_filter cimport CodeFilter
from hyperport.engines.unicorn.hypercalls cimport CallingVcpu
from hyperport.io.path cimport PortPath

cdef enum:
    SITES = 1024            # a power of two

cdef enum SiteKind:
    SITE_UNKNOWN = 0
    SITE_PLAIN = 1          # one element for one call of the core: IN, OUT, INS or OUTS without REP
    SITE_DOORBELL = 2       # an OUT of the ROM

cdef struct Site:           # what is known of one place in translated code that calls in_byte() .. out_long()
    uintptr_t caller
    uint8_t kind
    uint8_t number          # of the call, for a doorbell

cdef class UnicornEngine(CallingVcpu):
    cdef readonly PortPath path
    cdef InterruptController controller
    cdef PortDevice pin
    cdef LookUp looks
    cdef Site sites[SITES]
    cdef CodeFilter filter
    cdef readonly str dead
    cdef uint64_t exception_count[256]
    cdef uint64_t software_count[256]
    cdef uint64_t interrupt_count[256]
    cdef uint64_t hlt_count
    cdef uint64_t mmio_count

    cdef _ok(self, int error, str doing)
    cdef _open(self)
    cdef _map(self)
    cdef _hook(self)
    cdef void release(self) noexcept
    cdef bint service(self) noexcept nogil
    cdef uint32_t guest_in(self, uint32_t port, uint32_t size, uintptr_t caller) noexcept nogil
    cdef void guest_out(self, uint32_t port, uint32_t size, uint32_t value, uintptr_t caller) noexcept nogil
    cdef bint look_at(self, uint32_t port, bint out, uintptr_t caller) noexcept nogil
    cdef void forget_sites(self) noexcept nogil
    cdef void guest_misses_memory(self) noexcept nogil
    cdef void guest_exception(self, uint32_t vector) noexcept nogil
    cdef void guest_undefined(self) noexcept nogil
    cdef bint did_port_instruction(self, uint32_t vector) noexcept nogil
    cdef void guest_sysenter(self) noexcept nogil
    cdef void switch_a20(self, int level) noexcept nogil
