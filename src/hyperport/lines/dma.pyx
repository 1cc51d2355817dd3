# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""The wires between a chip and its channel of a DMA controller: DREQ, DACK and TC, with the bytes that go along.

A chip that has bytes to move drives dreq high. When the controller grants the channel, at once or later when the guest
has programmed it, it drives the chip's DACK input: on_line(number of that input, 1). There the chip moves bytes with
put() or get(), as many as it has; fewer are moved if the terminal count comes, which `terminal` then says. The bytes that
are left wait for the next grant as long as dreq stays high. DACK falls when on_line() returns; outside of it none moves.
"""

from cpython.bytes cimport PyBytes_AsString, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint32_t

from hyperport.lines.irq cimport IrqLine


cdef class DmaChannel:
    """What a chip is handed. By itself it ends in the air, and is never granted.

    terminal: the last byte that was moved was the last of what the guest has programmed.
    """

    def __init__(self, IrqLine dreq=None):
        self.dreq = IrqLine() if dreq is None else dreq
        self.terminal = False

    cdef uint32_t put(self, const uint8_t *data, uint32_t count) noexcept nogil:
        """From the chip to memory: how many of count bytes went. A word channel moves an even number."""
        return self.move(<uint8_t *> data, count, True)

    cdef uint32_t get(self, uint8_t *data, uint32_t count) noexcept nogil:
        """From memory to the chip: how many of count bytes came."""
        return self.move(data, count, False)

    cdef uint32_t move(self, uint8_t *data, uint32_t count, bint to_memory) noexcept nogil:
        """For the controller's own class. data is only read if to_memory."""
        self.terminal = False
        return 0

    # The same from Python.

    def request(self, level):
        """Drive DREQ."""
        self.dreq.drive(1 if level else 0)

    def write(self, bytes data):
        """From the chip to memory; returns how many bytes went."""
        return self.put(<const uint8_t *> PyBytes_AsString(data), <uint32_t> len(data))

    def read(self, uint32_t count):
        """From memory to the chip: at most count bytes."""
        data = PyBytes_FromStringAndSize(NULL, <Py_ssize_t> count)
        return data[:self.get(<uint8_t *> PyBytes_AsString(data), count)]
