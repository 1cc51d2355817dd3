# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""Ports of the host, passed through: what the guest does at its ports is done at the host's, one for one.

Two ways to the host's ports. ioperm(2) lets a thread use the very instructions, at these ports and no others; the right is
a thread's, so each thread that runs the guest asks for it when it comes to it first. A port file, /dev/port or what
stands for it, is read and written at the port's number, a byte at a time: wider accesses are split by the bus, as an
8-bit card's are.

The guest is given no other port than those: the offset is the bus's, which is below the span. What it does to the
hardware behind is not undone, and hardware has a state that cannot be saved, so a machine with it cannot be saved.
"""

from libc.stdint cimport uint8_t, uint32_t
from posix.unistd cimport pread, pwrite

from hyperport.bus.device cimport PortDevice
from hyperport.host.char cimport CharBackend
from hyperport.lines.attention cimport Attention
from hyperport.lines.irq cimport IrqLine
from hyperport.lines.listener cimport Listener

import os

from hyperport.errors import HostError, StateError
from hyperport.lines.attention import StopKind

cdef extern from *:
    """
    #include <errno.h>
    #include <sys/io.h>
    static __thread uint8_t hp_granted[65536 / 8];  /* by port: this thread has asked for it, and got it */

    static int hp_grant(unsigned port, unsigned size)
    {
        for (unsigned p = port; p < port + size; p++) {
            if (hp_granted[p >> 3] & 1 << (p & 7))
                continue;
            if (ioperm(p, 1, 1))
                return errno;
            hp_granted[p >> 3] |= (uint8_t)(1 << (p & 7));
        }
        return 0;
    }

    static inline uint32_t hp_in(unsigned port, unsigned size)
    {
        return size == 1 ? inb((uint16_t)port) : size == 2 ? inw((uint16_t)port) : inl((uint16_t)port);
    }

    static inline void hp_out(unsigned port, unsigned size, uint32_t value)
    {
        if (size == 1) outb((uint8_t)value, (uint16_t)port);
        else if (size == 2) outw((uint16_t)value, (uint16_t)port);
        else outl(value, (uint16_t)port);
    }

    /* Why a port file did not take or give one byte: at its end, where it has no such port, errno tells nothing. */
    static inline int hp_reason(ssize_t moved) { return moved < 0 ? errno : ENXIO; }
    """
    int hp_grant(unsigned port, unsigned size) nogil
    uint32_t hp_in(unsigned port, unsigned size) nogil
    void hp_out(unsigned port, unsigned size, uint32_t value) nogil
    int hp_reason(Py_ssize_t moved) nogil


def may_use(uint32_t first, uint32_t span):
    """0 if this thread may use these ports of the host by ioperm(2), else the errno."""
    return hp_grant(first, span)


cdef class HostPorts(PortDevice):
    """Ports first to first + span - 1 of the host. fd: a port file, which the caller closes; -1: ioperm(2).

    attention: whose run ends where the host does not let us any more.
    """

    name = "host-ports"
    cdef readonly object span
    cdef readonly object widths
    cdef readonly uint32_t first
    cdef int fd
    cdef Attention attention
    cdef object where

    def __init__(self, uint32_t first, uint32_t span, Attention attention not None, int fd=-1, where="ioperm"):
        self.first, self.span, self.fd, self.attention, self.where = first, span, fd, attention, where
        self.widths = tuple([1] if fd >= 0 else [1, 2, 4])

    cdef uint32_t io_read(self, uint32_t offset, uint32_t size) noexcept nogil:
        cdef uint8_t byte
        cdef Py_ssize_t moved
        cdef int error
        if self.fd >= 0:
            moved = pread(self.fd, &byte, 1, self.first + offset)
            if moved == 1:
                return byte
            self.fail(hp_reason(moved))
            return 0xFFFFFFFF
        error = hp_grant(self.first + offset, size)
        if error:
            self.fail(error)
            return 0xFFFFFFFF
        return hp_in(self.first + offset, size)

    cdef void io_write(self, uint32_t offset, uint32_t size, uint32_t value) noexcept nogil:
        cdef uint8_t byte = <uint8_t> value
        cdef Py_ssize_t moved
        cdef int error
        if self.fd >= 0:
            moved = pwrite(self.fd, &byte, 1, self.first + offset)
            if moved != 1:
                self.fail(hp_reason(moved))
            return
        error = hp_grant(self.first + offset, size)
        if error:
            self.fail(error)
        else:
            hp_out(self.first + offset, size, value)

    cdef void fail(self, int error) noexcept with gil:
        failure = HostError(f"passthrough: {self.where}: {os.strerror(error)}: the host's ports cannot be used any more")
        self.attention.stop(StopKind.DEVICE_ERROR, 0, failure)

    cdef before_save(self):
        raise StateError("host-ports: a machine with ports of the host cannot be saved: the hardware keeps its own state")


cdef class HostInterrupt(Listener):
    """What brings an interrupt of the host to the guest's line: a byte in backend is one edge.

    Not attached to ports: it only hears. answered: called on the vCPU's thread when an edge was given to the guest.
    """

    cdef IrqLine irq
    cdef CharBackend backend
    cdef object answered

    def __init__(self, IrqLine irq not None, CharBackend backend not None, answered=None):
        self.irq, self.backend, self.answered = irq, backend, answered

    cdef void on_input(self) noexcept nogil:
        while self.backend.get() >= 0:
            self.irq.drive(0)
            self.irq.drive(1)
            if self.answered is not None:
                self.told()

    cdef void told(self) noexcept with gil:
        try:
            self.answered()
        except BaseException as error:
            self.backend.attention.stop(StopKind.DEVICE_ERROR, 0, error)
