# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""A disk behind a server of the Network Block Device protocol, once it is connected (host/nbd.py). Requests and replies.

Source: NBD, doc/proto.md, "Transmission phase"; simple replies. One request at a time is on its way. A request has a
time limit, so a server that hangs or drips costs one request at most twice as long, and then the disk is lost: what a
late answer belongs to could not be told. A server that breaks the protocol or goes away is lost likewise. All later
requests fail with EIO at once; the machine goes on.
"""

from libc.errno cimport EAGAIN, EINTR, EINVAL, EIO, ENOSPC, EPERM, EROFS, ETIMEDOUT, errno
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset
from posix.unistd cimport close as close_fd

from hyperport.host.disk cimport SECTOR, Disk

cdef extern from *:
    """
    #include <endian.h>
    #include <sys/socket.h>
    #include <time.h>
    static inline unsigned long long hp_nbd_now(void) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (unsigned long long)t.tv_sec * 1000000000ULL + (unsigned long long)t.tv_nsec;
    }
    """
    uint64_t hp_nbd_now() nogil
    ssize_t recv(int fd, void *data, size_t size, int flags) nogil
    ssize_t send(int fd, const void *data, size_t size, int flags) nogil
    int MSG_NOSIGNAL
    uint16_t htobe16(uint16_t value) nogil
    uint32_t htobe32(uint32_t value) nogil
    uint64_t htobe64(uint64_t value) nogil
    uint32_t be32toh(uint32_t value) nogil

cdef enum:
    READ = 0
    WRITE = 1
    DISCONNECT = 2
    FLUSH = 3
    REQUEST_SIZE = 28       # magic, flags, type, cookie, offset, length
    REPLY_SIZE = 16         # magic, error, cookie

cdef uint32_t REQUEST_MAGIC = 0x25609513
cdef uint32_t REPLY_MAGIC = 0x67446698


cdef class NbdDisk(Disk):
    """Owns fd, a connected socket past the handshake. Each read and write on it, and each request, ends within limit_ns.

    flushes: the server takes FLUSH.
    """

    cdef readonly int fd
    cdef bint flushes
    cdef uint64_t cookie, limit, began

    def __cinit__(self, int fd, *args, **kwargs):
        self.fd = fd

    def __init__(self, int fd, size, writable, flushes, limit_ns):
        self.sectors = <uint64_t> size // SECTOR
        self.writable = writable
        self.flushes = flushes
        self.limit = limit_ns

    def __dealloc__(self):
        self.lose()

    cdef void lose(self) noexcept nogil:
        if self.fd >= 0:
            close_fd(self.fd)
            self.fd = -1

    cdef int out(self, const uint8_t *data, size_t size) noexcept nogil:
        cdef ssize_t put
        while size:
            if hp_nbd_now() - self.began > self.limit:
                return ETIMEDOUT
            put = send(self.fd, data, size, MSG_NOSIGNAL)
            if put < 0 and errno == EINTR:
                continue
            if put <= 0:
                return ETIMEDOUT if put < 0 and errno == EAGAIN else EIO
            data += put
            size -= <size_t> put
        return 0

    cdef int take(self, uint8_t *data, size_t size) noexcept nogil:
        cdef ssize_t got
        while size:
            if hp_nbd_now() - self.began > self.limit:
                return ETIMEDOUT
            got = recv(self.fd, data, size, 0)
            if got < 0 and errno == EINTR:
                continue
            if got <= 0:
                return ETIMEDOUT if got < 0 and errno == EAGAIN else EIO
            data += got
            size -= <size_t> got
        return 0

    cdef void request(self, uint8_t *packet, uint16_t kind, uint64_t offset, uint32_t length) noexcept nogil:
        cdef uint32_t magic = htobe32(REQUEST_MAGIC)
        cdef uint64_t place = htobe64(offset)
        self.cookie += 1
        self.began = hp_nbd_now()
        kind = htobe16(kind)
        length = htobe32(length)
        memset(packet, 0, REQUEST_SIZE)
        memcpy(packet, &magic, 4)
        memcpy(packet + 6, &kind, 2)
        memcpy(packet + 8, &self.cookie, 8)
        memcpy(packet + 16, &place, 8)
        memcpy(packet + 24, &length, 4)

    cdef int ask(self, uint16_t kind, uint64_t offset, uint32_t length, uint8_t *to, const uint8_t *data) noexcept nogil:
        """One request with its reply: 0 or an errno. data goes with it, to comes back."""
        cdef uint8_t packet[REQUEST_SIZE]
        cdef uint8_t reply[REPLY_SIZE]
        cdef uint32_t words[2]
        cdef uint64_t cookie
        cdef int error
        if self.fd < 0:
            return EIO
        self.request(packet, kind, offset, length)
        error = self.out(packet, REQUEST_SIZE)
        if not error and data != NULL:
            error = self.out(data, length)
        if not error:
            error = self.take(reply, REPLY_SIZE)
        if not error:
            memcpy(words, reply, 8)
            memcpy(&cookie, reply + 8, 8)
            if be32toh(words[0]) != REPLY_MAGIC or cookie != self.cookie:
                error = EIO
            elif words[1]:
                return self.meaning(be32toh(words[1]))      # refused: the connection is as good as before
            elif to != NULL:
                error = self.take(to, length)
        if error:
            self.lose()
        return error

    cdef int meaning(self, uint32_t told) noexcept nogil:
        """A server's error as one of the host's; the protocol has Linux's numbers."""
        return <int> told if told in (EPERM, EIO, EINVAL, ENOSPC, EROFS) else EIO

    cdef int do_read(self, uint64_t first, uint32_t count, uint8_t *data) noexcept nogil:
        return self.ask(READ, first * SECTOR, count * SECTOR, data, NULL)

    cdef int do_write(self, uint64_t first, uint32_t count, const uint8_t *data) noexcept nogil:
        return self.ask(WRITE, first * SECTOR, count * SECTOR, NULL, data)

    cdef int do_flush(self) noexcept nogil:
        return self.ask(FLUSH, 0, 0, NULL, NULL) if self.flushes else 0

    def close(self):
        """Flush, and say good-bye."""
        cdef uint8_t packet[REQUEST_SIZE]
        cdef int error = 0
        if self.fd >= 0:
            with nogil:
                error = self.flush()
        self.sectors = 0
        if self.fd >= 0:
            self.request(packet, DISCONNECT, 0, 0)
            self.out(packet, REQUEST_SIZE)
        self.lose()
        self._raise(error)
