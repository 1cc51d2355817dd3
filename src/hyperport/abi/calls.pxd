# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint8_t, uint32_t

from hyperport.bus.port_bus cimport PortBus
from hyperport.cpu.guest_cpu cimport GuestCpu

cdef enum CallResult:
    CALL_DONE = 0       # outputs are in the registers; the guest goes on behind the doorbell
    CALL_AGAIN = 1      # a string in an interrupt window: the guest executes the doorbell once more
    CALL_NOT_OURS = 2   # nothing that is offered: the instruction is what it natively is

cdef enum:
    MAX_CALLS = 256

cdef struct CallShape:
    uint8_t offered
    uint8_t direction
    uint8_t size
    uint8_t string

cdef class CallTable:
    cdef PortBus bus
    cdef CallShape shapes[MAX_CALLS]
    cdef bint is_string(self, uint32_t number) noexcept nogil
    cdef int vmi_call(self, GuestCpu cpu, uint32_t number) noexcept nogil
