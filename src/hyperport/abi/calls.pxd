# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint8_t, uint32_t

from hyperport.bus.attention cimport Attention
from hyperport.bus.port_bus cimport PortBus
from hyperport.cpu.guest_cpu cimport GuestCpu

cdef enum CallResult:
    CALL_DONE = 0       # outputs are in the registers; the guest goes on behind the doorbell
    CALL_AGAIN = 1      # a string in an interrupt window: the guest executes the doorbell once more
    CALL_NOT_OURS = 2   # nothing that this ABI answers: the instruction is what it natively is

cdef enum:
    MAX_CALLS = 256
    MAX_ANSWERS = 64

cdef struct CallShape:
    uint8_t offered
    uint8_t direction
    uint8_t size
    uint8_t string

cdef struct Answer:     # an existing call of another hypervisor that is answered with a constant
    uint32_t number
    uint32_t value
    int stop            # StopKind, 0 for none

cdef class CallTable:
    cdef PortBus bus
    cdef Attention attention
    cdef CallShape shapes[MAX_CALLS]
    cdef Answer kvm_answers[MAX_ANSWERS]
    cdef int kvm_answer_count
    cdef Answer lguest_answers[MAX_ANSWERS]
    cdef int lguest_answer_count
    cdef readonly bint vmi
    cdef readonly bint kvm
    cdef readonly bint lguest
    cdef uint32_t base
    cdef bint is_string(self, uint32_t number) noexcept nogil
    cdef int vmi_call(self, GuestCpu cpu, uint32_t number) noexcept nogil
    cdef int kvm_call(self, GuestCpu cpu) noexcept nogil
    cdef int lguest_call(self, GuestCpu cpu) noexcept nogil
    cdef int port_call(self, GuestCpu cpu, CallShape *shape) noexcept nogil
