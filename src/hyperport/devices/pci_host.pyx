# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""PCI configuration mechanism 1 with no function behind it: ports CF8h to CFFh.

Source: PCI Local Bus Specification 2.1, "Configuration Mechanism #1". Only a doubleword at CF8h reaches the
address register. All else at CF8h to CFBh is ordinary I/O, byte by byte: of these ports only CF9h has somebody,
the reset control register, which is handed to this chip because it lies inside its ports, and shares its record.
At CFCh to CFFh every configuration read ends in a master abort, so it gives all ones, and writes vanish.
"""

from libc.stdint cimport uint32_t

from hyperport.bus.attributes cimport postable
from hyperport.bus.device cimport PortDevice
from hyperport.lines.saved cimport Fields


cdef enum:
    ADDRESS = 0         # port CF8h: a doubleword
    RESET_CONTROL = 1   # port CF9h: a byte
    DATA = 4            # port CFCh: bytes, words and doublewords

    ADDRESS_BITS = 0x80FFFFFC   # enable, bus, device, function, register; the rest reads 0


cdef class PciHost(PortDevice):
    """reset_control: the chip at CF9h, its register at offset 0; none: the port is empty."""

    name = "pci-host"
    span = 8
    widths_at = {ADDRESS: (1, 4), DATA: (1, 2, 4), DATA + 2: (1, 2)}

    cdef PortDevice reset_control
    cdef uint32_t address

    def __init__(self, PortDevice reset_control=None):
        self.reset_control = PortDevice() if reset_control is None else reset_control
        self.reset()

    def reset(self):
        self.address = 0
        self.reset_control.reset()

    cdef uint32_t io_read(self, uint32_t offset, uint32_t size) noexcept nogil:
        if offset == ADDRESS and size == 4:
            return self.address
        if offset == RESET_CONTROL:
            return self.reset_control.io_read(0, 1)
        return 0xFFFFFFFF

    cdef void io_write(self, uint32_t offset, uint32_t size, uint32_t value) noexcept nogil:
        if offset == ADDRESS and size == 4:
            self.address = value & ADDRESS_BITS
        elif offset == RESET_CONTROL:
            self.reset_control.io_write(0, 1, value)

    cdef uint32_t attributes(self, uint32_t offset) noexcept nogil:
        """The address only says what the next access to the data is about; bytes and words are other ports."""
        return postable(4) if offset == ADDRESS else 0

    cdef declare(self, Fields fields):
        fields.u32("address", &self.address, ADDRESS_BITS)
        fields.part("reset_control_", self.reset_control)
