# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""The host side of serial chips: bytes from the host wait in a ring, bytes to the host go out in lines.

Input: feed() may be called by any one other thread; it takes what the ring has room for and says how much,
so nothing is lost. The chip pulls with get() when its FIFO has room. Output: bytes are gathered and sent at
a newline, when 4,096 wait, or 2 ms after the first (a prompt has no newline).

Each backend also watches the lines for a Linux panic, the one console text that is an outcome of a run.
"""

from cpython.bytes cimport PyBytes_AsString
from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from hyperport.time.clock cimport Clock, Timer
from hyperport.lines.attention cimport ATTENTION_INPUT, ATTENTION_STOP, PANIC, Attention
from hyperport.lines.saved cimport Fields, Saved

from libc.string cimport memchr, memcpy
from posix.unistd cimport write

import os

from hyperport.errors import OutputError
from hyperport.lines.attention import StopKind

cdef extern from *:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <errno.h>
    #include <poll.h>
    #include <string.h>
    extern void *memmem(const void *, size_t, const void *, size_t);
    static inline unsigned hp_load_acquire(unsigned *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
    static inline void hp_store_release(unsigned *p, unsigned v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
    static inline int hp_errno(void) { return errno; }
    static inline int hp_wait_writable(int fd, int ms) {    /* 1 writable, 0 not yet, -1 nobody is there to read */
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        if (poll(&p, 1, ms) <= 0) return 0;
        return p.revents & (POLLHUP | POLLERR | POLLNVAL) ? -1 : 1;
    }
    """
    unsigned hp_load_acquire(unsigned *p) nogil
    void hp_store_release(unsigned *p, unsigned v) nogil
    void *memmem(const void *hay, size_t hay_size, const void *needle, size_t size) nogil
    int hp_errno() nogil
    int hp_wait_writable(int fd, int ms) nogil
    int EAGAIN
    int EINTR

cdef enum:
    NEWLINE = 10
    ATOMIC = 4096       # PIPE_BUF of Linux: a blocking write of no more, to a pipe that is ready, does not wait (pipe(7))

cdef enum:
    PANIC_BYTES = 3 * LINE_SIZE     # of a line in UTF-8, where a byte that is none became a mark of three

cdef uint64_t FLUSH_AFTER_NS = 2_000_000

PANIC_TEXT = "Kernel panic - not syncing"   # begins the first line of a panic, on a screen too
cdef bytes _panic_begin = PANIC_TEXT.encode(), _panic_end = b"end Kernel panic"
cdef const char *PANIC_BEGIN = _panic_begin
cdef const char *PANIC_END = _panic_end
cdef size_t PANIC_BEGIN_SIZE = len(_panic_begin), PANIC_END_SIZE = len(_panic_end)


cdef class CharBackend(Saved):
    """A backend that hears nothing and drops what it is given ("null"). Base of the others."""

    name = "null"

    def __init__(self):
        self.attention = Attention()
        self.wires = -1

    def connect(self, Attention attention not None, Clock clock not None):
        """Say whose vCPU to wake for input, and by whose time to flush. Called once by the machine."""
        self.attention = attention
        self.clock = clock
        self.flush_timer = Timer(clock, self, 0)

    cdef int get(self) noexcept nogil:
        """The next byte from the host, or -1."""
        cdef uint8_t byte
        if hp_load_acquire(&self.head) == self.tail:
            return -1
        byte = self.input[self.tail % INPUT_SIZE]
        hp_store_release(&self.tail, self.tail + 1)
        return byte

    cdef uint32_t waiting(self) noexcept nogil:
        """How many bytes from the host wait."""
        return hp_load_acquire(&self.head) - self.tail

    cdef void put(self, uint8_t byte) noexcept nogil:
        """One byte to the host."""
        self.output[self.output_used] = byte
        self.output_used += 1
        if self.line_used < LINE_SIZE:
            self.line[self.line_used] = <char> byte
            self.line_used += 1
        if byte == NEWLINE:
            self.watch()
            self.flush()
        elif self.output_used == OUTPUT_SIZE:
            self.flush()
        elif self.output_used == 1 and self.clock is not None:
            self.flush_timer.arm(self.clock.now() + FLUSH_AFTER_NS)

    cdef void put_block(self, const uint8_t *data, uint32_t count) noexcept nogil:
        """count bytes to the host, as one put() after the other."""
        cdef const uint8_t *end
        cdef uint32_t size, kept
        cdef bint first
        while count:
            size = min(count, <uint32_t> (OUTPUT_SIZE - self.output_used))
            end = <const uint8_t *> memchr(data, NEWLINE, size)
            if end != NULL:
                size = <uint32_t> (end - data) + 1
            first = self.output_used == 0
            memcpy(self.output + self.output_used, data, size)
            self.output_used += size
            kept = min(size, <uint32_t> (LINE_SIZE - self.line_used))
            memcpy(self.line + self.line_used, data, kept)
            self.line_used += kept
            if end != NULL:
                self.watch()
                self.flush()
            elif self.output_used == OUTPUT_SIZE:
                self.flush()
            elif first and self.clock is not None:
                self.flush_timer.arm(self.clock.now() + FLUSH_AFTER_NS)
            data += size
            count -= size

    cdef void watch(self) noexcept nogil:
        """Look for a panic in the line that just ended."""
        if self.line_used > PANIC_END_SIZE:
            if memmem(self.line, self.line_used, PANIC_BEGIN, PANIC_BEGIN_SIZE) != NULL and not self.panicked:
                self.panicked = True
                with gil:
                    self.panic_line = self.line[:self.line_used].decode("utf-8", "replace").strip()
            if self.panicked and memmem(self.line, self.line_used, PANIC_END, PANIC_END_SIZE) != NULL:
                self.attention.request_stop(PANIC, 0)
        self.line_used = 0

    cdef void flush(self) noexcept nogil:
        """Send what was gathered."""
        if self.output_used:
            self.bytes_out += self.send(self.output, self.output_used)
            self.output_used = 0
            if self.clock is not None and self.flush_timer.deadline != <uint64_t> -1:
                self.flush_timer.disarm()

    cdef uint32_t send(self, const uint8_t *data, uint32_t count) noexcept nogil:
        """Hand count bytes to the host; returns how many it took. This backend drops them."""
        return count

    cdef void on_timer(self, int number) noexcept nogil:
        self.flush()

    # The line and its modem wires, for an end that has such: what the chip says, and what it hears.

    cdef void tell_line(self, uint32_t divisor, uint8_t line_control) noexcept nogil:
        """The chip's divisor latch and LCR, without DLAB, after each change."""
        if divisor != self.divisor or line_control != self.line_control:
            self.divisor = divisor
            self.line_control = line_control
            self.line_changed()

    cdef void tell_outputs(self, uint8_t modem_control) noexcept nogil:
        """The chip's MCR after each change; in loopback its outputs are off, and it says 0."""
        if modem_control != self.modem_control:
            self.modem_control = modem_control
            self.outputs_changed()

    cdef void line_changed(self) noexcept nogil:
        """divisor or line_control is another one."""
        pass

    cdef void outputs_changed(self) noexcept nogil:
        """modem_control is another one."""
        pass

    cdef void look_at_wires(self) noexcept nogil:
        """The chip is about to read wires: make them those of this moment."""
        pass

    def set_wires(self, bits):
        """The host's end drives CTS 10h, DSR 20h, RI 40h and DCD 80h to bits; None: a cable whose end is always there.

        The chip hears of it at its next look-up.
        """
        self.wires = -1 if bits is None else bits & 0xF0
        self.attention.raise_flags(ATTENTION_INPUT)

    # Host side.

    def feed(self, data):
        """Give bytes from the host to the guest; returns how many fit. Feed the rest later."""
        cdef bytes source = bytes(data)
        cdef uint32_t free_space = INPUT_SIZE - (self.head - hp_load_acquire(&self.tail))
        cdef uint32_t count = min(<uint32_t> len(source), free_space)
        cdef const uint8_t *bytes_in = <const uint8_t *> PyBytes_AsString(source)
        cdef uint32_t i
        for i in range(count):
            self.input[(self.head + i) % INPUT_SIZE] = bytes_in[i]
        hp_store_release(&self.head, self.head + count)
        if count:
            self.attention.raise_flags(ATTENTION_INPUT)
        return count

    def room(self):
        """How many bytes feed() would take now."""
        return INPUT_SIZE - (self.head - hp_load_acquire(&self.tail))

    def take(self):
        """Take one byte as the chip would: an int, or None."""
        cdef int byte = self.get()
        return None if byte < 0 else byte

    def emit(self, data):
        """Send bytes to the host as the chip would."""
        for byte in bytes(data):
            self.put(byte)

    def drop_input(self):
        """Forget what waits for the guest; while it does not run."""
        self.tail = hp_load_acquire(&self.head)

    def drain(self):
        """Send now what waits for a newline."""
        self.flush()

    # State: what the guest has still to be told, and what it has told of itself. Output that waits is sent first.

    cdef declare(self, Fields fields):
        fields.derived_data("waiting", INPUT_SIZE)
        fields.derived_data("line", LINE_SIZE)
        fields.flag("panicked", &self.panicked)
        fields.derived_data("panic_line", PANIC_BYTES)

    cdef before_save(self):
        self.flush()

    cdef dict derived(self):
        cdef uint32_t i
        return {
            "waiting": bytes([self.input[(self.tail + i) % INPUT_SIZE] for i in range(self.waiting())]),
            "line": <bytes> self.line[:self.line_used],
            "panic_line": (self.panic_line or "").encode(),
        }

    cdef after_load(self, dict record):
        cdef bytes line = record["line"]
        self.drop_input()
        self.feed(record["waiting"])
        memcpy(self.line, <const char *> line, len(line))
        self.line_used = <uint32_t> len(line)
        self.panic_line = record["panic_line"].decode("utf-8", "replace") if self.panicked else None


cdef class MemoryBackend(CharBackend):
    """Keeps what the guest sent in memory: for tests, expect() and the Python API.

    limit: bytes kept; when the guest sends more, the oldest half is dropped, so a guest cannot fill the host's
    memory. listener: called on the vCPU's thread with each piece of output, as bytes; one that raises ends the run.
    """

    name = "memory"
    cdef bytearray sent
    cdef Py_ssize_t limit
    cdef object listener
    cdef readonly unsigned long long dropped

    def __init__(self, limit=16 << 20, listener=None):
        CharBackend.__init__(self)
        self.sent = bytearray()
        self.limit = limit
        self.listener = listener

    cdef uint32_t send(self, const uint8_t *data, uint32_t count) noexcept with gil:
        cdef Py_ssize_t surplus
        self.sent += data[:count]
        if self.listener is not None:
            try:
                self.listener(data[:count])
            except BaseException as error:
                self.attention.stop(StopKind.DEVICE_ERROR, 0, error)
        if len(self.sent) > self.limit:
            surplus = len(self.sent) - self.limit // 2
            del self.sent[:surplus]
            self.dropped += surplus
        return count

    def output(self):
        """All that the guest sent and was not dropped, as bytes. May be called while the guest runs."""
        return bytes(self.sent)

    def clear(self):
        """Forget what was sent so far."""
        self.sent.clear()


cdef class CallbackBackend(CharBackend):
    """Hands what the guest sent to a callable, as bytes, on the vCPU's thread. One that raises ends the run."""

    name = "callback"
    cdef object callback

    def __init__(self, callback):
        CharBackend.__init__(self)
        self.callback = callback

    cdef uint32_t send(self, const uint8_t *data, uint32_t count) noexcept with gil:
        try:
            self.callback(bytes(data[:count]))
        except BaseException as error:
            self.attention.stop(StopKind.DEVICE_ERROR, 0, error)
        return count


cdef class FdBackend(CharBackend):
    """Sends to a file descriptor that the caller opened and closes. Input comes by feed().

    where: what it is, as messages name it. A reader that is slow makes the guest wait; while it waits, signal handlers
    get their turn, and a reader that was still stuck when a stop was asked for is not waited for again, until it reads.
    A descriptor that takes no more (disk full, EPIPE, EIO) ends the run with an OutputError, kept in `failure`; after
    that output vanishes, and `broken` is true. With reconnects=True another reader may come (a pty, a socket): then only
    what was to be sent while nobody was there is lost. lost: bytes that were not taken, for whatever reason.
    """

    name = "fd"

    def __init__(self, int fd, bint reconnects=False, where=None):
        CharBackend.__init__(self)
        self.fd = fd
        self.where = f"descriptor {fd}" if where is None else str(where)
        self.reconnects = reconnects

    cdef uint32_t send(self, const uint8_t *data, uint32_t count) noexcept nogil:
        cdef uint32_t done = 0
        cdef ssize_t sent
        cdef int ready
        while done < count and not self.broken:
            ready = hp_wait_writable(self.fd, 0 if self.stuck else 100)  # asked first: a blocking write would hold the vCPU
            if not ready:
                if not self.stuck:
                    self.hear_signals()
                    self.stuck = self.attention.pending() & ATTENTION_STOP != 0
                if self.stuck:
                    break
                continue
            self.stuck = False
            if ready < 0 and self.reconnects:
                break
            sent = write(self.fd, data + done, min(count - done, <uint32_t> ATOMIC))
            if sent >= 0:
                done += <uint32_t> sent
            elif hp_errno() != EINTR and hp_errno() != EAGAIN:
                if self.reconnects:
                    break
                self.broken = True
                self.fail(hp_errno())
        self.lost += count - done
        return done

    cdef void fail(self, int error) noexcept with gil:
        """End the run: the host does not take the guest's output any more."""
        self.failure = OutputError(f"{self.where}: {os.strerror(error)}: the guest's output is lost")
        self.attention.stop(StopKind.DEVICE_ERROR, 0, self.failure)

    cdef void hear_signals(self) noexcept with gil:
        """On the main thread, run signal handlers that wait for their turn; one that raises ends the run."""
        try:
            PyErr_CheckSignals()
        except BaseException as error:
            self.attention.stop(StopKind.DEVICE_ERROR, 0, error)
