# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from hyperport.io.hypercall cimport CallTable
from hyperport.lines.attention cimport Attention
from hyperport.lines.listener cimport Listener
from hyperport.lines.interrupt_controller cimport InterruptController
from hyperport.engines.shared.look_up cimport LookUp
from hyperport.engines.kvm.structs cimport kvm_coalesced_mmio_ring
from hyperport.engines.kvm.vcpu cimport KvmVcpu
from hyperport.io.path cimport PortPath

cdef enum:
    ROM_SIZE = 8192             # most bytes of a ROM with doorbells
    DOORBELL_PORTS = 256        # a doorbell is `out %al, $number`

cdef class KvmEngine(KvmVcpu):
    cdef object vm
    cdef object shared          # a view of the page that the vCPU shares with the kernel
    cdef readonly PortPath path
    cdef InterruptController controller
    cdef Attention attention
    cdef Listener pin
    cdef LookUp looks
    cdef CallTable calls
    cdef uint64_t rom_base
    cdef uint8_t doorbells[ROM_SIZE]        # by offset in the ROM: the number of the call, 0 for none
    cdef uint8_t rung_by[DOORBELL_PORTS]    # whether some doorbell uses this port
    cdef kvm_coalesced_mmio_ring *posted    # writes that the kernel has queued; NULL without coalescing
    cdef bint running
    cdef int failed                         # the errno that ended loop()
    cdef int final                          # how the machine Ended for good, though a stop was told first
    cdef uint64_t interrupt_count[256]
    cdef uint64_t hlt_count
    cdef uint64_t mmio_count
    cdef readonly uint64_t entries          # how often KVM_RUN was called

    cdef void release(self) noexcept
    cdef int loop(self) noexcept nogil
    cdef void offer_interrupt(self) noexcept nogil
    cdef void port_exit(self) noexcept nogil
    cdef bint ring(self, uint32_t number) noexcept nogil
    cdef bint restart_doorbell(self, uint32_t eip, bint faulted) noexcept nogil
    cdef void memory_exit(self) noexcept nogil
    cdef void drain(self) noexcept nogil
    cdef int serve(self) noexcept nogil
    cdef int settle_event(self) noexcept nogil
    cdef object stop_of(self, int ended)
    cdef _abort(self)
