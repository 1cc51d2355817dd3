# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""Stage 2 of an access: how it reaches the VMM (a path). Next: bus/port_bus.pyx.

`exit` is here; `trap`, which has to find out itself what the guest did, is in trap.pyx.
"""

from libc.stdint cimport uint8_t, uint32_t

from hyperport.bus.port_bus cimport DIRECTION_IN, EXIT, PortBus
from hyperport.cpu.decode cimport PortInstruction
from hyperport.cpu.fetch cimport fetch_and_decode
from hyperport.cpu.vcpu cimport EDX, GuestCpu
from hyperport.io.strings cimport StringAccess, run_string, string_of


cdef class PortPath:
    """Base of the paths. An engine hands it every IN and OUT that the guest may do."""

    name = "none"

    def __init__(self, PortBus bus not None):
        self.bus = bus

    cdef uint32_t port_in(self, uint32_t port, uint32_t size) noexcept nogil:
        """One element in; the engine has checked permission."""
        return 0xFFFFFFFF

    cdef void port_out(self, uint32_t port, uint32_t size, uint32_t value) noexcept nogil:
        """One element out; the engine has checked permission."""
        pass

    cdef void port_block(self, int direction, uint32_t port, uint32_t size, uint32_t count, uint8_t *data) noexcept nogil:
        """Elements of a string that the engine gave at once, packed in data; it has checked permission."""
        pass

    cdef bint port_string(self, GuestCpu cpu, const PortInstruction *instruction) noexcept nogil:
        """An INS or OUTS; permission is checked. True when complete, False between two elements. May fault."""
        return True

    cdef void fault_begins(self) noexcept nogil:
        """The engine is about to raise the #GP of an access. Called only while profile is on."""
        pass

    cdef bint on_fault(self, GuestCpu cpu) noexcept nogil:
        """The guest got #GP(0). True if that was a port access, which is now done. May fault."""
        return False


cdef class ExitPath(PortPath):
    """`--io exit`: the engine has already said port, size, direction and data; the bus does the rest."""

    name = "exit"

    cdef uint32_t port_in(self, uint32_t port, uint32_t size) noexcept nogil:
        return self.bus.read(port, size, EXIT)

    cdef void port_out(self, uint32_t port, uint32_t size, uint32_t value) noexcept nogil:
        self.bus.write(port, size, value, EXIT)

    cdef void port_block(self, int direction, uint32_t port, uint32_t size, uint32_t count, uint8_t *data) noexcept nogil:
        if direction == DIRECTION_IN:
            self.bus.read_block(port, size, count, data, EXIT, 1)
        else:
            self.bus.write_block(port, size, count, data, EXIT, 1)

    cdef bint port_string(self, GuestCpu cpu, const PortInstruction *instruction) noexcept nogil:
        cdef StringAccess access
        string_of(cpu, instruction, &access)
        return run_string(cpu, self.bus, &access, EXIT)

    cdef bint on_fault(self, GuestCpu cpu) noexcept nogil:
        """INS or OUTS of code that is not privileged enough to do without the I/O map."""
        cdef PortInstruction instruction
        if fetch_and_decode(cpu, &instruction) <= 0 or not instruction.string:
            return False
        if not cpu.port_allowed(cpu.get(EDX) & 0xFFFF, instruction.size):
            return False
        cpu.retire(instruction.length if self.port_string(cpu, &instruction) else 0)
        return True
