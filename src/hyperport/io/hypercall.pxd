# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport int32_t, uint8_t, uint32_t

from hyperport.bus.port_bus cimport PortBus
from hyperport.cpu.vcpu cimport GuestCpu

cdef enum CallResult:
    CALL_DONE = 0       # outputs are in the registers; the guest goes on behind the doorbell
    CALL_AGAIN = 1      # a string in an interrupt window: the guest executes the doorbell once more
    CALL_NOT_OURS = 2   # nothing that is offered: the instruction is what it natively is

cdef enum PrivateConvention:
    BY_VMCALL = 0       # KVM's
    BY_INT = 1          # lguest's
    CONVENTIONS = 2

cdef enum CallAction:           # convention.Action, and one more
    ACTION_NOT_OURS = -1        # the instruction is what it natively is
    ACTION_NOTHING = 0          # answered
    ACTION_PORT_IO = 1
    ACTION_FLUSH_TLB = 2
    ACTION_SET_TS = 3
    ACTION_HALT = 4
    ACTION_SHUTDOWN = 5
    ACTION_KILL = 6

cdef enum:
    MAX_CALLS = 256     # of VMI
    MAX_KNOWN = 64      # of a convention besides the port calls

cdef struct CallShape:
    uint8_t offered
    uint8_t direction
    uint8_t size
    uint8_t string

cdef struct CallAnswer:
    int action
    uint8_t has_result
    int32_t result

cdef struct PrivateCalls:       # one convention, as tables
    bint offered
    uint32_t port_base          # number of the port call with VMI number 0
    uint32_t highest_cpl
    CallAnswer forbidden        # from above that CPL
    CallAnswer unknown
    CallAnswer known[MAX_KNOWN]

cdef class CallTable:
    cdef PortBus bus
    cdef CallShape shapes[MAX_CALLS]
    cdef CallShape port_calls[MAX_CALLS]
    cdef PrivateCalls private[CONVENTIONS]
    cdef dict reasons
    cdef bint in_string             # a private string call is at work, its place is in ECX and EDX
    cdef uint32_t string_count      # ECX and EDX as the guest had them
    cdef uint32_t string_buffer

    cdef bint offers(self, int convention) noexcept nogil
    cdef int vmi_call(self, GuestCpu cpu, uint32_t number) noexcept nogil
    cdef int private_call(self, GuestCpu cpu, int convention) noexcept nogil
    cdef void private_port_call(self, GuestCpu cpu, CallShape *shape) noexcept nogil
    cdef void end_string(self, GuestCpu cpu) noexcept nogil
