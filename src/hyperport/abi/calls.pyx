# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""Stage 2 of a hypercall: from the guest's registers to a port access. Next: bus/port_bus.pyx.

An engine that meets a doorbell of the VMI ROM asks here what it means. The tables come from abi/numbers.py.

A call is as restartable as the instruction it stands for: a string keeps its index and count registers up to date,
so a page fault in the middle, or an interrupt window, leaves a guest that can execute the doorbell again.
"""

from libc.stdint cimport uint32_t

from hyperport.bus.port_bus cimport DIRECTION_IN, HYPERCALL, PortBus
from hyperport.cpu.guest_cpu cimport EAX, ECX, EDI, EDX, ESI, GuestCpu
from hyperport.cpu.string_io cimport StringAccess, run_string

cdef enum:
    SEGMENT_ES = 0
    SEGMENT_DS = 3


cdef class CallTable:
    """What calls a machine offers, and their answers.

    shapes: VMI call number -> (direction, size, is it a string) of every offered port call.
    """

    def __init__(self, PortBus bus not None, shapes):
        self.bus = bus
        for number, (direction, size, string) in shapes.items():
            self.shapes[<int> number] = CallShape(True, direction, size, string)

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
