# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""The role of whatever hears something: a timer, a wire, or that the host has input.

A part with this role alone has no ports: a pin of the CPU, a shared line, the host's end of a serial line. A chip with
ports is a PortDevice (bus/device.pyx), which is a Listener too. All three methods run on the vCPU's thread, without the
GIL, and must not allocate. What a part does not override, it does not hear.
"""


cdef class Listener:
    """Hears nothing: the air at the end of a wire. Base of all that hears."""

    cdef void on_timer(self, int number) noexcept nogil:
        """The Timer made with this number has reached its deadline."""
        pass

    cdef void on_line(self, int number, int level) noexcept nogil:
        """The input wire with this number has changed to level (0 or 1)."""
        pass

    cdef void on_input(self) noexcept nogil:
        """The host has input for this part."""
        pass
