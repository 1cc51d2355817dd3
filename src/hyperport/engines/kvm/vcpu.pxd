# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from hyperport.io.hypercall cimport Call, CallTable
from hyperport.cpu.vcpu cimport Vcpu
from hyperport.cpu.page_walk cimport Paging
from hyperport.engines.kvm.structs cimport hp_vcpu, kvm_regs, kvm_segment, kvm_sregs
from hyperport.io.path cimport PortPath
from hyperport.memory.ram cimport GuestMemory

cdef enum:
    FAULTED = -100          # instead of a CallAction

cdef class KvmVcpu(Vcpu):
    cdef GuestMemory memory
    cdef int vm_fd
    cdef hp_vcpu vcpu
    cdef readonly PortPath path
    cdef bint synced            # the kernel hands registers over in the shared page
    cdef bint waits             # the vCPU sits in HLT
    cdef readonly bint irqchip  # the kernel has the interrupt controllers, the timer, and HLT
    cdef bint changed           # put() was called since fetch_registers()
    cdef kvm_regs *regs
    cdef kvm_sregs *sregs
    cdef kvm_regs own_regs
    cdef kvm_sregs own_sregs
    cdef int fault_vector
    cdef uint32_t fault_error
    cdef uint32_t fault_address

    cdef void share_registers(self, bint synced) noexcept
    cdef int fetch_registers(self) noexcept nogil
    cdef int store_registers(self) noexcept nogil
    cdef kvm_segment *segment(self, int number) noexcept nogil
    cdef uint64_t translate(self, uint32_t linear, uint32_t access) noexcept nogil
    cdef void page_fault(self, uint32_t linear, int error) noexcept nogil
    cdef uint64_t code_address(self) noexcept nogil
    cdef int guarded_answer(self, CallTable calls, Call *call) noexcept nogil
    cdef int inject_fault(self, uint32_t eip) noexcept nogil
    cdef bint event_waits(self) noexcept nogil
    cdef _ioctl(self, unsigned long request, void *argument, str doing)
