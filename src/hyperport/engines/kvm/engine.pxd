# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint32_t, uint64_t

from hyperport.engines.kvm.structs cimport kvm_coalesced_mmio_ring
from hyperport.engines.kvm.vcpu cimport KvmVcpu
from hyperport.engines.shared.run cimport Runs
from hyperport.io.hypercall cimport CallTable
from hyperport.io.path cimport PortPath
from hyperport.lines.listener cimport Listener

cdef class KvmEngine(KvmVcpu):
    cdef object vm
    cdef object shared          # a view of the page that the vCPU shares with the kernel
    cdef readonly PortPath path
    cdef Listener pin
    cdef Runs runs
    cdef CallTable calls
    cdef kvm_coalesced_mmio_ring *posted    # writes that the kernel has queued; NULL without coalescing
    cdef int failed                         # the errno that ended loop()
    cdef int final                          # how the machine Ended for good, though a stop was told first
    cdef readonly uint64_t entries          # how often KVM_RUN was called

    cdef void release(self) noexcept
    cdef int loop(self) noexcept nogil
    cdef void offer_interrupt(self) noexcept nogil
    cdef void port_exit(self) noexcept nogil
    cdef bint ring(self, uint32_t port) noexcept nogil
    cdef bint restart_doorbell(self, uint32_t eip, bint faulted) noexcept nogil
    cdef void memory_exit(self) noexcept nogil
    cdef void drain(self) noexcept nogil
    cdef int serve(self) noexcept nogil
    cdef int settle_event(self) noexcept nogil
    cdef object stop_of(self, int ended)
    cdef _abort(self)
