# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""Stage 2 of a hypercall: from the guest's registers to a port access. Next: bus/port_bus.pyx.

An engine that meets a doorbell (VMI), a VMCALL (KVM) or an INT 1Fh (lguest) asks here what it means. All three carry
the same twelve calls; they differ in where the number and the arguments are. The tables come from abi/numbers.py and
the file of each convention.

A call is as restartable as the instruction it stands for: a string keeps its index and count registers up to date,
so a page fault in the middle, or an interrupt window, leaves a guest that can execute the doorbell again.
"""

from libc.stdint cimport uint32_t

from hyperport.bus.attention cimport GUEST_KILLED, Attention
from hyperport.bus.port_bus cimport DIRECTION_IN, HYPERCALL, PortBus
from hyperport.cpu.guest_cpu cimport EAX, EBX, ECX, EDI, EDX, ESI, GuestCpu
from hyperport.cpu.string_io cimport StringAccess, run_string

cdef enum:
    SEGMENT_ES = 0
    SEGMENT_DS = 3

cdef uint32_t KVM_EPERM = <uint32_t> -1
cdef uint32_t KVM_ENOSYS = <uint32_t> -1000


cdef class CallTable:
    """What calls a machine offers, and their answers.

    shapes: VMI call number -> (direction, size, is it a string) of every offered port call.
    base: what KVM and lguest callers add to the VMI number. kvm_answers, lguest_answers: (number, value, StopKind) of
    existing calls that are answered with a constant, or end the run.
    """

    def __init__(self, PortBus bus not None, Attention attention not None, shapes, *, base, conventions,
                 kvm_answers=(), lguest_answers=()):
        self.bus = bus
        self.attention = attention
        self.base = base
        self.vmi = "vmi" in conventions
        self.kvm = "kvm" in conventions
        self.lguest = "lguest" in conventions
        for number, (direction, size, string) in shapes.items():
            self.shapes[<int> number] = CallShape(True, direction, size, string)
        for index, (number, value, stop) in enumerate(kvm_answers):
            self.kvm_answers[<int> index] = Answer(number, value & 0xFFFFFFFF, stop)
        for index, (number, value, stop) in enumerate(lguest_answers):
            self.lguest_answers[<int> index] = Answer(number, value & 0xFFFFFFFF, stop)
        self.kvm_answer_count = len(kvm_answers)
        self.lguest_answer_count = len(lguest_answers)

    cdef bint is_string(self, uint32_t number) noexcept nogil:
        """Whether this VMI call touches guest memory."""
        return number < MAX_CALLS and self.shapes[number].string

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
            access.index_register = EDI if shape.direction == DIRECTION_IN else ESI
            access.count_register = ECX
            return CALL_DONE if run_string(cpu, self.bus, &access, HYPERCALL) else CALL_AGAIN
        mask = <uint32_t> 0xFFFFFFFF >> (32 - 8 * shape.size)
        if shape.direction == DIRECTION_IN:
            cpu.put(EAX, (cpu.get(EAX) & ~mask) | (self.bus.read(port, shape.size, HYPERCALL) & mask))
        else:
            self.bus.write(port, shape.size, cpu.get(EAX) & mask, HYPERCALL)
        return CALL_DONE

    cdef int kvm_call(self, GuestCpu cpu) noexcept nogil:
        """VMCALL in KVM's convention: number in EAX, arguments in EBX, ECX, EDX, result in EAX. May fault."""
        cdef uint32_t number = cpu.get(EAX)
        cdef int i
        if not self.kvm:
            return CALL_NOT_OURS
        if cpu.privilege() != 0:
            cpu.put(EAX, KVM_EPERM)
            return CALL_DONE
        if number - self.base < MAX_CALLS and self.shapes[number - self.base].offered:
            return self.port_call(cpu, &self.shapes[number - self.base])
        for i in range(self.kvm_answer_count):
            if self.kvm_answers[i].number == number:
                cpu.put(EAX, self.kvm_answers[i].value)
                return CALL_DONE
        cpu.put(EAX, KVM_ENOSYS)
        return CALL_DONE

    cdef int lguest_call(self, GuestCpu cpu) noexcept nogil:
        """INT 1Fh in lguest's convention: number in EAX, arguments in EBX, ECX, EDX, result in EAX. May fault.

        lguest kills a guest that makes a call it does not know; so do we, with GUEST_KILLED.
        """
        cdef uint32_t number = cpu.get(EAX)
        cdef int i
        if not self.lguest or cpu.privilege() > 1:
            return CALL_NOT_OURS
        if number - self.base < MAX_CALLS and self.shapes[number - self.base].offered:
            return self.port_call(cpu, &self.shapes[number - self.base])
        for i in range(self.lguest_answer_count):
            if self.lguest_answers[i].number == number:
                if self.lguest_answers[i].stop:
                    self.attention.request_stop(self.lguest_answers[i].stop, number)
                cpu.put(EAX, self.lguest_answers[i].value)
                return CALL_DONE
        self.attention.request_stop(GUEST_KILLED, number)
        return CALL_DONE

    cdef int port_call(self, GuestCpu cpu, CallShape *shape) noexcept nogil:
        """EBX port, ECX value or count, EDX buffer; EAX result. A string moves EDX on and counts ECX down to 0."""
        cdef StringAccess access
        cdef uint32_t port = cpu.get(EBX) & 0xFFFF
        if shape.string:
            access.direction = shape.direction
            access.port = port
            access.size = shape.size
            access.base = 0
            access.mask = 0xFFFFFFFF
            access.repeated = True
            access.index_register = EDX
            access.count_register = ECX
            if not run_string(cpu, self.bus, &access, HYPERCALL):
                return CALL_AGAIN
            cpu.put(EAX, 0)
        elif shape.direction == DIRECTION_IN:
            cpu.put(EAX, self.bus.read(port, shape.size, HYPERCALL))
        else:
            self.bus.write(port, shape.size, cpu.get(ECX) & (<uint32_t> 0xFFFFFFFF >> (32 - 8 * shape.size)), HYPERCALL)
            cpu.put(EAX, 0)
        return CALL_DONE
