# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint32_t, uint64_t

from hyperport.engines.kvm.structs cimport kvm_coalesced_mmio_ring, kvm_userspace_memory_region
from hyperport.engines.kvm.vcpu cimport KvmVcpu
from hyperport.engines.shared.run cimport Runs
from hyperport.io.hypercall cimport CallTable
from hyperport.lines.listener cimport Listener
from hyperport.memory.map cimport HP_RANGES

cdef class KvmEngine(KvmVcpu):
    cdef object vm
    cdef object shared          # a view of the page that the vCPU shares with the kernel
    cdef public object guard        # see machine/guard.py; None: whoever comes
    cdef Listener pin
    cdef Runs runs
    cdef CallTable calls
    cdef kvm_coalesced_mmio_ring *posted    # writes that the kernel has queued; NULL without coalescing
    cdef kvm_userspace_memory_region slots[HP_RANGES]   # what the kernel has of the map; size 0: a free one
    cdef int map_error                      # the errno that the last change of the map ended with
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
    cdef void map_changed(self) noexcept nogil
    cdef int put_slot(self, kvm_userspace_memory_region *slot) noexcept nogil
    cdef void drain(self) noexcept nogil
    cdef int serve(self) noexcept nogil
    cdef int settle_event(self) noexcept nogil
    cdef object stop_of(self, int ended)
    cdef _abort(self)
