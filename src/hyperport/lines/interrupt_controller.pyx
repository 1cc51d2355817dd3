# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""What an engine asks of the chip that owns its INTR line: is it high, and which vector (INTA cycle)."""

from hyperport.lines.listener cimport Listener


cdef class InterruptController(Listener):
    """Base of interrupt controllers. This one never interrupts."""

    cdef int intr(self) noexcept nogil:
        """Level of the INTR output."""
        return 0

    cdef int acknowledge(self) noexcept nogil:
        """The INTA cycle: returns the vector, 0 to 255. Only called while intr() is 1."""
        return 0

    def pending(self):
        """True while INTR is high."""
        return self.intr() != 0

    def take_vector(self):
        """Run one INTA cycle from Python; returns the vector."""
        return self.acknowledge()
