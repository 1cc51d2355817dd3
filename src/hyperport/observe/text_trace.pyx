# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""--trace-ports: every access as lines of text, made and written without the GIL. trace.py says what a line looks like."""

from libc.errno cimport EINTR, errno
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy
from posix.unistd cimport write

from hyperport.bus.access cimport SPACE_PORT, Access
from hyperport.bus.port_bus cimport DIRECTION_IN, PortObserver
from hyperport.observe.filter_program cimport FilterProgram, Seen, look_at

cdef enum:
    BUFFER = 64 << 10
    LINE = 32                   # more than a line has

cdef const char *DIGITS = b"0123456789abcdef"


cdef inline char *hexadecimal(char *at, uint64_t value, int digits) noexcept nogil:
    cdef int i
    for i in range(digits):
        at[i] = DIGITS[value >> (4 * (digits - 1 - i)) & 15]
    return at + digits


cdef class TextTrace(PortObserver):
    """An observer for PortBus.observe(). fd: an open file. filter: a FilterProgram.

    live: write each access at once, for who looks on. tell(errno): called once, when the host takes no more; the guest
    runs on.
    """

    cdef FilterProgram filter
    cdef bint filtered, live
    cdef int fd
    cdef readonly int error
    cdef object teller
    cdef char *buffer
    cdef size_t used

    def __init__(self, fd, *, FilterProgram filter=None, live=False, tell=None):
        self.fd, self.filter, self.filtered = fd, filter, filter is not None
        self.live, self.teller = live, tell
        self.buffer = <char *> malloc(BUFFER)
        if self.buffer == NULL:
            raise MemoryError("no memory for a port trace")

    def __dealloc__(self):
        free(self.buffer)

    cdef void memory_access(self, Access *access) noexcept nogil:
        self.access(access)

    cdef void access(self, Access *access) noexcept nogil:
        cdef Seen seen
        cdef uint32_t i
        cdef uint64_t value
        cdef char *at
        if self.error:
            return
        look_at(&seen, access)
        if self.filtered and not self.filter.passes(&seen):
            return
        for i in range(access.count):
            if self.used + LINE > BUFFER:
                self.send()
            value = 0
            memcpy(&value, access.data + <size_t> i * access.size, access.size)
            at = self.buffer + self.used
            if access.space == SPACE_PORT:
                memcpy(at, b"in  " if access.direction == DIRECTION_IN else b"out ", 4)
                at = hexadecimal(at + 4, access.port, 4)
            else:
                memcpy(at, b"ld  " if access.direction == DIRECTION_IN else b"st  ", 4)
                at = hexadecimal(at + 4, access.port, 8)
            at[0] = b" "
            at[1] = DIGITS[access.size]
            at[2] = b" "
            at = hexadecimal(at + 3, value, 2 * access.size)
            at[0] = b"\n"
            self.used = <size_t> (at + 1 - self.buffer)
        if self.live:
            self.send()

    cdef void send(self) noexcept nogil:
        """Write what is in the buffer."""
        cdef const char *data = self.buffer
        cdef ssize_t wrote
        while self.used and not self.error:
            wrote = write(self.fd, data, self.used)
            if wrote >= 0:
                data += wrote
                self.used -= <size_t> wrote
            elif errno != EINTR:
                self.error = errno
                with gil:
                    if self.teller is not None:
                        self.teller(self.error)
        self.used = 0

    def flush(self):
        """Write what is buffered."""
        self.send()
