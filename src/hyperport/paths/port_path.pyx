# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""Stage 2 of an access: how it reaches the VMM (a path). Next: bus/port_bus.pyx."""

from libc.stdint cimport uint32_t

from hyperport.bus.port_bus cimport EXIT, PortBus


cdef class PortPath:
    """Base of the paths. An engine hands it every IN and OUT that the guest may do."""

    name = "none"

    def __init__(self, PortBus bus not None):
        self.bus = bus

    cdef uint32_t port_in(self, uint32_t port, uint32_t size) noexcept nogil:
        return 0xFFFFFFFF

    cdef void port_out(self, uint32_t port, uint32_t size, uint32_t value) noexcept nogil:
        pass


cdef class ExitPath(PortPath):
    """`--io exit`: the engine has already said port, size, direction and data; the bus does the rest."""

    name = "exit"

    cdef uint32_t port_in(self, uint32_t port, uint32_t size) noexcept nogil:
        return self.bus.read(port, size, EXIT)

    cdef void port_out(self, uint32_t port, uint32_t size, uint32_t value) noexcept nogil:
        self.bus.write(port, size, value, EXIT)


PATHS = {"exit": ExitPath}
