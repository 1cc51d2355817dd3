# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""The host side of network cards: Ethernet frames from the host wait in a ring, frames to the host go out at once.

Input: one other thread puts frames into a ring of 1,024, and the vCPU's thread takes them out when the card has room.
A frame for which the ring has no room is lost and counted; a reader that can wait asks room() first.
Output: transmit() hands one frame to the host, which takes it, loses it (counted) or is busy for the moment.

Frames are without preamble and FCS, 14 to 1,518 octets; others are lost and counted. A station pads what it sends to 60
octets, but software on a host does not: so shorter frames are padded here, unless a runt is what the caller wants.
"""

from cpython.bytes cimport PyBytes_AsString
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcpy, memset
from posix.unistd cimport close, read, write

from hyperport.time.clock cimport Clock
from hyperport.lines.attention cimport ATTENTION_INPUT, Attention

import contextlib
import os

from hyperport.errors import ConfigError

cdef extern from *:
    """
    #include <errno.h>
    #include <sys/socket.h>
    static inline unsigned hp_load_acquire(unsigned *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
    static inline void hp_store_release(unsigned *p, unsigned v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
    static inline int hp_errno(void) { return errno; }
    static inline int hp_busy(void) { return errno == EAGAIN || errno == EINTR || errno == ENOBUFS; }
    """
    unsigned hp_load_acquire(unsigned *p) nogil
    void hp_store_release(unsigned *p, unsigned v) nogil
    int hp_errno() nogil
    bint hp_busy() nogil
    ssize_t c_send "send"(int fd, const void *data, size_t size, int flags) nogil
    ssize_t c_recv "recv"(int fd, void *data, size_t size, int flags) nogil
    int c_shutdown "shutdown"(int fd, int how) nogil
    int SHUT_RDWR
    int MSG_DONTWAIT
    int MSG_NOSIGNAL

cdef enum:
    LONGEST = 65535 + LEAST_FRAME   # a length on a stream that no peer with sense sends
    TURN = 64                       # frames that one call of pump() takes in


cdef class PacketBackend:
    """A cable with nothing at its end: sent frames vanish, none arrive. Base of the others.

    paced: frames wait in the ring until the card has room for them; otherwise the card loses them, as on a real cable.
    sent, received: frames to and from the host. lost_out, lost_in: frames that were dropped on the way.
    """

    name = "null"

    def __init__(self, *, paced=True):
        self.attention = Attention()
        self.paced = paced

    def connect(self, Attention attention not None, Clock clock not None):
        """Say whose vCPU to wake for frames, and whose time to record. Called once by the machine."""
        self.attention = attention
        self.clock = clock

    def record_to(self, recorder):
        """Tell recorder.record(ns since 1970, frame) of each frame sent and received; None ends that."""
        self.recorder = recorder
        self.recording = recorder is not None

    # The card's side, on the vCPU's thread.

    cdef Frame *front(self) noexcept nogil:
        """The oldest waiting frame, or NULL."""
        if hp_load_acquire(&self.head) == self.tail:
            return NULL
        return &self.queue[self.tail % QUEUE_FRAMES]

    cdef void pop(self) noexcept nogil:
        """Done with the oldest waiting frame."""
        hp_store_release(&self.tail, self.tail + 1)

    cdef bint transmit(self, const uint8_t *data, uint32_t length) noexcept nogil:
        """One frame to the host. False: not now, offer it again later."""
        if not LEAST_FRAME <= length <= MOST_FRAME:
            self.lost_out += 1
            return True
        if self.recording:
            return self.send_recorded(data, length)
        return self.send(data, length)

    cdef bint send_recorded(self, const uint8_t *data, uint32_t length) noexcept with gil:
        """The GIL is held in between, as it is where answers are taken in: so none is recorded before its question."""
        if not self.send(data, length):
            return False
        self.record(data, length)
        return True

    cdef bint send(self, const uint8_t *data, uint32_t length) noexcept nogil:
        """What transmit() asks of a kind of cable: count the frame as sent or lost, or say False. This one loses it."""
        self.lost_out += 1
        return True

    # The host's side.

    cdef bint put(self, const uint8_t *data, uint32_t length, uint32_t damage, bint pad) noexcept nogil:
        """One frame into the ring; False where it is lost. announce() must follow."""
        cdef Frame *frame
        if not LEAST_FRAME <= length <= MOST_FRAME or self.head - hp_load_acquire(&self.tail) >= QUEUE_FRAMES:
            self.lost_in += 1
            return False
        frame = &self.queue[self.head % QUEUE_FRAMES]
        memcpy(frame.data, data, length)
        if pad and length < PADDED_FRAME:
            memset(frame.data + length, 0, PADDED_FRAME - length)
            length = PADDED_FRAME
        frame.length = length
        frame.damage = damage
        hp_store_release(&self.head, self.head + 1)
        self.received += 1
        return True

    cdef void announce(self) noexcept nogil:
        """Wake the vCPU for what was put into the ring."""
        self.attention.raise_flags(ATTENTION_INPUT)

    cdef void record(self, const uint8_t *data, uint32_t length) noexcept:
        if self.recorder is not None:
            self.recorder.record(self.clock.wall() if self.clock is not None else 0, data[:length])

    def deliver(self, frame, *, int damage=0, bint pad=True):
        """Send a frame (bytes) to the guest; False where the ring is full or its length is wrong, and it is lost.

        damage: 1 for a wrong FCS, 2 for a broken last octet as well. pad=False lets a runt be one.
        To be called by one thread at a time, any.
        """
        cdef bytes octets = bytes(frame)
        if damage not in (0, 1, 2):
            raise ConfigError(f"frame damage {damage}: give 0, 1 or 2")
        if not self.put(<const uint8_t *> PyBytes_AsString(octets), <uint32_t> len(octets), damage, pad):
            return False
        if self.recording:
            self.record(<const uint8_t *> PyBytes_AsString(octets), <uint32_t> len(octets))
        self.announce()
        return True

    def room(self):
        """How many frames deliver() would take now."""
        return QUEUE_FRAMES - (self.head - hp_load_acquire(&self.tail))

    # The card's side from Python, for tests and for peers in Python.

    def emit(self, frame):
        """Send a frame to the host as a card would; False while the host is busy."""
        cdef bytes octets = bytes(frame)
        return self.transmit(<const uint8_t *> PyBytes_AsString(octets), <uint32_t> len(octets))

    def take(self):
        """The oldest waiting frame as a card would take it, as bytes, or None."""
        cdef Frame *frame = self.front()
        if frame == NULL:
            return None
        octets = frame.data[:frame.length]
        self.pop()
        return octets


cdef class HubPort(PacketBackend):
    """One socket of a Hub: what is sent here arrives at all the others."""

    name = "hub"
    cdef Hub hub

    def __init__(self, Hub hub not None, *, paced=True):
        PacketBackend.__init__(self, paced=paced)
        self.hub = hub

    cdef bint send(self, const uint8_t *data, uint32_t length) noexcept with gil:
        cdef PacketBackend port
        self.sent += 1
        for port in self.hub.ports:         # the GIL is what keeps the writers of a ring apart: put() does not let go
            if port is not self and port.put(data, length, DAMAGE_NONE, True):
                if port.recording:
                    port.record(data, length)
                port.announce()
        return True


cdef class Hub:
    """An Ethernet hub in this process, for machines of one process and for peers written in Python.

    Give hub.port() to a Machine, or use emit() and take() of one as a station of your own.
    """

    cdef readonly list ports

    def __init__(self):
        self.ports = []

    def port(self, *, paced=True):
        """A new socket of the hub."""
        port = HubPort(self, paced=paced)
        self.ports.append(port)
        return port


cdef class FdPackets(PacketBackend):
    """A cable into a file descriptor, which plug() puts in and unplug() pulls out, at any time and from any thread.

    fd is one number for the backend's whole life, so that the vCPU's thread never writes into a descriptor that was
    closed and given to somebody else; unplugged, it is /dev/null, which is no socket and no tap.
    """

    def __init__(self, *, paced=True):
        PacketBackend.__init__(self, paced=paced)
        nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        self.fd = nowhere

    def __cinit__(self):
        self.fd = -1

    def __dealloc__(self):
        if self.fd >= 0:
            close(self.fd)

    def plug(self, int fd):
        """Use a duplicate of fd from now on; the caller keeps fd. It is made non-blocking."""
        os.set_blocking(fd, False)
        os.dup2(fd, self.fd, inheritable=False)
        self.generation += 1
        self.plugged = True

    def unplug(self):
        """Let go of the descriptor. A stream's peer sees its end at once, even if another thread polls it just now.

        Where the host has no descriptor left for /dev/null, the old one stays, shut down, until the backend is freed.
        """
        self.plugged = False
        self.generation += 1
        c_shutdown(self.fd, SHUT_RDWR)
        with contextlib.suppress(OSError):
            nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
            try:
                os.dup2(nowhere, self.fd, inheritable=False)
            finally:
                os.close(nowhere)


cdef class StreamPackets(FdPackets):
    """Frames on a stream socket, each after its length in 4 bytes, big-endian: what passt and qemu's stream take.

    A frame of which the socket took a part counts as sent; the rest goes before the next one.
    trims: send IPv4 without the padding of short frames, which passt of 2023 (Debian 12) takes for a part of the segment.
    """

    name = "stream"
    cdef public bint trims
    cdef uint8_t outbox[LENGTH_BYTES + MOST_FRAME]
    cdef uint32_t out_at, out_end, out_generation
    cdef uint8_t inbox[LENGTH_BYTES + MOST_FRAME]
    cdef uint32_t in_used, in_generation
    cdef uint32_t skip

    cdef bint flush(self) noexcept nogil:
        """Send what waits in the outbox. True when it is empty."""
        cdef ssize_t done
        if self.out_generation != self.generation:      # the rest belonged to another peer
            self.out_at = self.out_end = 0
            self.out_generation = self.generation
        while self.out_at < self.out_end:
            done = c_send(self.fd, self.outbox + self.out_at, self.out_end - self.out_at, MSG_DONTWAIT | MSG_NOSIGNAL)
            if done < 0 and hp_busy():
                return False
            if done < 0:                                # nobody is there
                self.out_at = self.out_end = 0
                self.lost_out += 1
            else:
                self.out_at += <uint32_t> done
        return True

    cdef uint32_t unpadded(self, const uint8_t *data, uint32_t length) noexcept nogil:
        """The length of a short IPv4 frame by its own account (RFC 791, total length), else as it is."""
        cdef uint32_t total
        if length != PADDED_FRAME or data[12] != 0x08 or data[13] != 0x00:
            return length
        total = LEAST_FRAME + (<uint32_t> data[16] << 8 | data[17])
        return total if LEAST_FRAME < total < length else length

    cdef bint send(self, const uint8_t *data, uint32_t length) noexcept nogil:
        cdef unsigned long long lost
        if self.trims:
            length = self.unpadded(data, length)
        if not self.plugged:
            self.lost_out += 1
            return True
        if not self.flush():
            return False
        self.outbox[0] = self.outbox[1] = 0
        self.outbox[2] = length >> 8
        self.outbox[3] = length & 0xFF
        memcpy(self.outbox + LENGTH_BYTES, data, length)
        self.out_at, self.out_end = 0, LENGTH_BYTES + length
        lost = self.lost_out
        if not self.flush() and self.out_at == 0:
            self.out_end = 0
            return False
        if self.lost_out == lost:
            self.sent += 1
        return True

    def pump(self):
        """Take in what has arrived. False where the ring has no room. Raises EOFError when the peer has gone.

        Nothing is read that there is no room for, so a fast peer waits and loses nothing.
        """
        cdef uint32_t taken = 0
        cdef uint32_t length
        cdef int result = 1
        if self.in_generation != self.generation:
            self.in_used = self.skip = 0
            self.in_generation = self.generation
        while taken < TURN:
            if not self.room():
                self.announce()
                return False
            result = self.receive()
            if result <= 0:
                break
            length = self.in_used - LENGTH_BYTES
            self.in_used = 0
            taken += 1
            if self.put(self.inbox + LENGTH_BYTES, length, DAMAGE_NONE, True) and self.recording:
                self.record(self.inbox + LENGTH_BYTES, length)
        if taken:
            self.announce()
        if result < 0:
            raise EOFError("the peer has gone")
        return True

    cdef int receive(self) noexcept nogil:
        """Go on with the frame in the inbox: 1 when it is whole, 0 when more has to come, -1 at the end."""
        cdef uint32_t length, wanted
        cdef ssize_t done
        while True:
            if self.skip:
                done = c_recv(self.fd, self.inbox + LENGTH_BYTES, min(self.skip, <uint32_t> MOST_FRAME), MSG_DONTWAIT)
                if done > 0:
                    self.skip -= <uint32_t> done
                    continue
            else:
                wanted = LENGTH_BYTES
                if self.in_used >= LENGTH_BYTES:
                    length = (<uint32_t> self.inbox[0] << 24 | <uint32_t> self.inbox[1] << 16
                              | <uint32_t> self.inbox[2] << 8 | self.inbox[3])
                    if length > LONGEST:
                        return -1
                    if not LEAST_FRAME <= length <= MOST_FRAME:
                        self.lost_in += 1
                        self.skip, self.in_used = length, 0
                        return 0                        # the watcher comes again: no peer holds it for long
                    wanted = LENGTH_BYTES + length
                    if self.in_used == wanted:
                        return 1
                done = c_recv(self.fd, self.inbox + self.in_used, wanted - self.in_used, MSG_DONTWAIT)
                if done > 0:
                    self.in_used += <uint32_t> done
                    continue
            return 0 if done < 0 and hp_busy() else -1


cdef class TapPackets(FdPackets):
    """Frames of a tap interface of Linux: one a read, one a write (Documentation/networking/tuntap.rst)."""

    name = "tap"

    cdef bint send(self, const uint8_t *data, uint32_t length) noexcept nogil:
        if not self.plugged:
            self.lost_out += 1
        elif write(self.fd, data, length) >= 0:
            self.sent += 1
        elif hp_busy():
            return False
        else:                       # the interface is down
            self.lost_out += 1
        return True

    def pump(self):
        """Take in what has arrived. False where the ring has no room. Raises EOFError when the interface has gone."""
        cdef uint8_t frame[MOST_FRAME + 1]      # a longer one is cut off, and lost by its length
        cdef uint32_t taken = 0
        cdef ssize_t done = 0
        while taken < TURN and self.room():
            done = read(self.fd, frame, sizeof(frame))
            if done < 0:
                break
            taken += 1
            if self.put(frame, <uint32_t> done, DAMAGE_NONE, True) and self.recording:
                self.record(frame, <uint32_t> done)
        if taken:
            self.announce()
        if done < 0 and not hp_busy():
            raise EOFError("the interface has gone")
        return self.room() > 0
