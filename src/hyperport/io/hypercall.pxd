# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport int16_t, int32_t, uint8_t, uint16_t, uint32_t, uint64_t

from hyperport.bus.access cimport Access
from hyperport.bus.port_bus cimport DIRECTION_IN, PortBus, carry_element
from hyperport.cpu.vcpu cimport Vcpu
from hyperport.io.path cimport PortPath

cdef enum CallAction:           # what is left to do of a call: convention.Action, and two more
    ACTION_AGAIN = -2           # a string in an interrupt window: the guest makes the call once more
    ACTION_NOT_OURS = -1        # the instruction is what it natively is
    ACTION_NOTHING = 0          # answered
    ACTION_PORT_IO = 1
    ACTION_FLUSH_TLB = 2
    ACTION_SET_TS = 3
    ACTION_HALT = 4
    ACTION_SHUTDOWN = 5
    ACTION_KILL = 6
    ACTION_SERVICE = 7

cdef enum:
    LONGEST_ENTRY = 15          # bytes of an instruction
    MAX_ARGUMENTS = 5
    VECTORS = 256

cdef struct Call:               # one number of one convention
    uint32_t number
    uint16_t rules              # its convention, an index
    uint8_t is_port             # then the next three; else what comes after them
    uint8_t direction
    uint8_t size
    uint8_t string
    uint8_t has_result
    uint8_t words               # of a service's result
    uint64_t served             # how often the service has answered it
    uint8_t alone               # a port call for one element: carry_call() is all there is to it
    uint8_t highest_cpl         # for carry_call(), as the rest: what Rules says
    uint8_t port_register
    uint8_t value_register
    uint8_t result_register     # which changes if has_result is set
    uint32_t kept               # bits of it that an answer leaves alone
    int32_t result
    int32_t action
    int32_t reason              # of a KILL, an index; else -1

cdef struct Rules:              # one convention: abi/convention.py says what the fields mean
    uint8_t as_native
    uint32_t highest_cpl
    int number, port, value, count, source, destination, result, result_high    # registers
    int arguments[MAX_ARGUMENTS]
    uint32_t argument_count
    void *service               # a Service that CallTable.services keeps, or None
    uint32_t unknown            # indices of calls
    uint32_t forbidden
    uint32_t first_slot         # of its hash table of calls, in slots
    uint32_t slot_mask

cdef struct Instruction:        # the code of one entry
    uint8_t code[LONGEST_ENTRY]
    uint8_t length
    uint16_t rules

cdef struct Doorbell:
    uint64_t address            # physical
    uint32_t call               # an index
    uint32_t length             # of its instruction

cdef class CallTable:
    cdef readonly dict doorbell_names   # physical address -> the convention and the call, for people
    cdef PortBus bus
    cdef readonly tuple conventions
    cdef Call *calls
    cdef Rules *rules
    cdef int32_t *slots
    cdef Instruction *instructions
    cdef uint32_t instruction_count
    cdef Doorbell *doorbells            # sorted by address
    cdef uint32_t doorbell_count
    cdef uint8_t rung_by[VECTORS]       # whether some doorbell is an OUT to this port
    cdef int16_t vectors[VECTORS]       # the Rules of INT n, or -1
    cdef list reasons
    cdef object services                # name of a convention -> its Service
    cdef int killed_by                  # index of the reason; -1: nobody has been killed
    cdef uint32_t killed_with
    cdef bint in_string                 # a string that is left to count is at work
    cdef uint32_t string_count          # its registers as the guest had them
    cdef uint32_t string_buffer
    cdef Call *string_call

    cdef Doorbell *doorbell_at(self, uint64_t address) noexcept nogil
    cdef Doorbell *doorbell_behind(self, uint64_t address) noexcept nogil
    cdef int instruction_at(self, Vcpu vcpu, uint32_t *length) noexcept nogil
    cdef Call *numbered(self, int rules, uint32_t number) noexcept nogil
    cdef int answer(self, Vcpu vcpu, Call *call) noexcept nogil
    cdef int serve(self, Vcpu vcpu, Rules *rules, Call *call) noexcept nogil
    cdef int port_call(self, Vcpu vcpu, Rules *rules, Call *call) noexcept nogil
    cdef int native_string(self, Vcpu vcpu, Rules *rules, Call *call) noexcept nogil
    cdef void counted_string(self, Vcpu vcpu, Rules *rules, Call *call) noexcept nogil
    cdef void end_string(self, Vcpu vcpu) noexcept nogil

cdef class HypercallPath(PortPath):
    pass


cdef inline uint32_t carry_call(PortBus bus, const Call *call, Access *access, uint32_t result) noexcept nogil:
    """A call for one element, whose access is described. result: its register now; returns what is to be in it."""
    carry_element(bus, access)
    return access.value | result & call.kept if access.direction == DIRECTION_IN else 0
