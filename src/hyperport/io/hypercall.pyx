# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""Stage 2 of a hypercall: from the guest's registers to a port access. Next: bus/port_bus.pyx.

An engine that meets a doorbell of the VMI ROM, a VMCALL or an INT 1Fh asks here what it means. The tables come from
abi/numbers.py and the conventions.

A VMI call is as restartable as the instruction it stands for: a string keeps its index and count registers up to
date, so a page fault in the middle, or an interrupt window, leaves a guest that can execute the doorbell again.

A call in KVM's or lguest's convention changes nothing but EAX. While its string is at work ECX and EDX hold the
place; end_string() puts them back and tells the guest how many elements are left, be it that all are done, that a
page fault (which the guest then never gets) came between, or that MOST_WINDOWS is reached.
"""

from libc.stdint cimport uint32_t

from hyperport.bus.port_bus cimport DIRECTION_IN, HYPERCALL, PortBus
from hyperport.cpu.vcpu cimport EAX, EBX, ECX, EDI, EDX, ESI, GuestCpu
from hyperport.io.strings cimport StringAccess, run_string

from hyperport.abi.convention import Action
from hyperport.errors import ConfigError

cdef enum:
    SEGMENT_ES = 0
    SEGMENT_DS = 3
    MOST_WINDOWS = 16       # of 4,096 elements in one private call, so that its time is bounded

PRIVATE = {"kvm": BY_VMCALL, "lguest": BY_INT}


cdef CallShape shape_of(form):
    return CallShape(True, form.direction, form.size, form.string)


cdef CallAnswer answer_of(answer):
    if answer is None:
        return CallAnswer(ACTION_NOT_OURS, False, 0)
    return CallAnswer(answer.action, answer.result is not None, answer.result or 0)


cdef class CallTable:
    """What calls a machine offers, and their answers.

    offered: the Convention of each. vmi_numbers: the port calls that the ROM offers; None for all twelve.
    """

    def __init__(self, PortBus bus not None, offered, vmi_numbers=None):
        self.bus = bus
        self.reasons = {}
        for convention in offered:
            if convention.name in PRIVATE:
                self.offer_private(PRIVATE[convention.name], convention)
                continue
            for number, call in convention.ports.items():
                if vmi_numbers is None or number in vmi_numbers:
                    self.shapes[<int> number] = shape_of(call.port)

    def offer_private(self, int index, convention):
        """Take a convention with numbers in EAX into the tables."""
        cdef PrivateCalls *private = &self.private[index]
        bases = {number - call.number for number, call in convention.ports.items()}
        if len(bases) != 1 or any(not 0 <= number < MAX_KNOWN for number in convention.calls):
            raise ConfigError(f"the numbers of ABI {convention.name} do not fit its table")
        private.offered = True
        private.port_base = bases.pop()
        private.highest_cpl = convention.highest_cpl
        private.forbidden = answer_of(convention.forbidden)
        private.unknown = answer_of(convention.unknown)
        for number in range(MAX_KNOWN):
            private.known[<int> number] = private.unknown
        for number, answer in convention.calls.items():
            private.known[<int> number] = answer_of(answer)
        for call in convention.ports.values():
            self.port_calls[<int> call.number] = shape_of(call.port)
        self.reasons |= {number: answer.reason for number, answer in convention.calls.items()
                         if answer.action == Action.KILL}

    def reason(self, number):
        """Why a guest was killed that called this number."""
        return self.reasons.get(number, f"unknown lguest call {number:#x}")

    cdef bint offers(self, int convention) noexcept nogil:
        """Whether this PrivateConvention is offered."""
        return self.private[convention].offered

    cdef int vmi_call(self, GuestCpu cpu, uint32_t number) noexcept nogil:
        """A VMI port call: arguments where the native instruction has them. May fault."""
        cdef CallShape *shape
        cdef StringAccess access
        cdef uint32_t port = cpu.get(EDX) & 0xFFFF
        cdef uint32_t mask
        if number >= MAX_CALLS or not self.shapes[number].offered:
            return CALL_NOT_OURS
        shape = &self.shapes[number]
        if shape.string:
            access.direction = shape.direction
            access.port = port
            access.size = shape.size
            access.base = cpu.segment_base(SEGMENT_ES if shape.direction == DIRECTION_IN else SEGMENT_DS)
            access.mask = 0xFFFFFFFF
            access.repeated = True
            access.stepped = cpu.steps()
            access.index_register = EDI if shape.direction == DIRECTION_IN else ESI
            access.count_register = ECX
            return CALL_DONE if run_string(cpu, self.bus, &access, HYPERCALL) else CALL_AGAIN
        mask = <uint32_t> 0xFFFFFFFF >> (32 - 8 * shape.size)
        if shape.direction == DIRECTION_IN:
            cpu.put(EAX, (cpu.get(EAX) & ~mask) | (self.bus.read(port, shape.size, HYPERCALL) & mask))
        else:
            self.bus.write(port, shape.size, cpu.get(EAX) & mask, HYPERCALL)
        return CALL_DONE

    cdef int private_call(self, GuestCpu cpu, int convention) noexcept nogil:
        """A call with its number in EAX. EAX is answered here; what is left to do is the CallAction returned.

        May fault in a string: in_string is then set, and end_string() makes an answer of it.
        """
        cdef PrivateCalls *private = &self.private[convention]
        cdef uint32_t number = cpu.get(EAX)
        cdef uint32_t port_call = number - private.port_base
        cdef CallAnswer *answer = &private.unknown
        if not private.offered:
            return ACTION_NOT_OURS
        if cpu.privilege() > private.highest_cpl:
            answer = &private.forbidden
        elif port_call < MAX_CALLS and self.port_calls[port_call].offered:
            self.private_port_call(cpu, &self.port_calls[port_call])
            return ACTION_NOTHING
        elif number < MAX_KNOWN:
            answer = &private.known[number]
        if answer.has_result:
            cpu.put(EAX, <uint32_t> answer.result)
        return answer.action

    cdef void private_port_call(self, GuestCpu cpu, CallShape *shape) noexcept nogil:
        cdef StringAccess access
        cdef uint32_t port = cpu.get(EBX) & 0xFFFF
        cdef uint32_t mask = <uint32_t> 0xFFFFFFFF >> (32 - 8 * shape.size)
        cdef int _window
        if not shape.string:
            if shape.direction == DIRECTION_IN:
                cpu.put(EAX, self.bus.read(port, shape.size, HYPERCALL) & mask)
            else:
                self.bus.write(port, shape.size, cpu.get(ECX) & mask, HYPERCALL)
                cpu.put(EAX, 0)
            return
        access.direction = shape.direction
        access.port = port
        access.size = shape.size
        access.base = 0
        access.mask = 0xFFFFFFFF
        access.repeated = True
        access.stepped = False
        access.index_register = EDX
        access.count_register = ECX
        self.string_count = cpu.get(ECX)
        self.string_buffer = cpu.get(EDX)
        self.in_string = True
        for _window in range(MOST_WINDOWS):
            if run_string(cpu, self.bus, &access, HYPERCALL):
                break
        self.end_string(cpu)

    cdef void end_string(self, GuestCpu cpu) noexcept nogil:
        """Answer the string call that is at work, however far it came."""
        cpu.put(EAX, cpu.get(ECX))
        cpu.put(ECX, self.string_count)
        cpu.put(EDX, self.string_buffer)
        self.in_string = False
