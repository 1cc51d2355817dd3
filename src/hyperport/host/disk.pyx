# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""Where a drive's sectors lie on the host: an image file, or an overlay above one. How they are opened: disk_image.py.

Reads, writes and flushes run on the vCPU's thread without the GIL. They answer 0 or an errno, never an exception: a
host that fails becomes a drive that fails. Nothing outside the image is ever read or written, whatever a drive asks
for: Disk.read() and Disk.write() are the one place that checks.

An overlay's map has a bit for each sector. A sector is read from the overlay where its bit is set, else from the base;
a write goes to the overlay, at its own place in a sparse file, and then sets the bit in memory. A flush makes the data
durable first, and then the map: at any moment the file on the host is a whole overlay, in which a sector is as it was
at the last flush or newer. Bits only ever get set, so a page of the map that was written in part is valid too.
docs/decisions/0013 has the format.

A flush that fails is final: the kernel tells of lost data once, and drops it. So every later flush of the disk fails
too, until it is opened anew (docs/decisions/0024).
"""

from cpython.bytes cimport PyBytes_AsString, PyBytes_FromStringAndSize
from libc.errno cimport EINTR, EIO, ENXIO, EROFS, errno
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset
from posix.unistd cimport close as close_fd

import os

from hyperport.errors import AccessError, HostError

SECTOR_BYTES = SECTOR

cdef extern from *:
    """
    #define _FILE_OFFSET_BITS 64
    #include <unistd.h>
    """
    ssize_t pread(int fd, void *data, size_t size, int64_t offset) nogil
    ssize_t pwrite(int fd, const void *data, size_t size, int64_t offset) nogil
    int fdatasync(int fd) nogil


cdef int read_all(int fd, uint64_t offset, uint8_t *data, size_t size) noexcept nogil:
    """0, or an errno; the end of the file is EIO: an image that became shorter has lost sectors."""
    cdef ssize_t got
    while size:
        got = pread(fd, data, size, <int64_t> offset)
        if got < 0:
            if errno == EINTR:
                continue
            return errno
        if got == 0:
            return EIO
        data += got
        offset += <uint64_t> got
        size -= <size_t> got
    return 0


cdef int read_padded(int fd, uint64_t offset, uint8_t *data, size_t size, uint64_t end) noexcept nogil:
    """The same of a file of end bytes, with zeros behind its end."""
    cdef size_t there = <size_t> min(size, end - min(offset, end))
    memset(data + there, 0, size - there)
    return read_all(fd, offset, data, there)


cdef int write_all(int fd, uint64_t offset, const uint8_t *data, size_t size) noexcept nogil:
    """0, or an errno; then a first part may have been written."""
    cdef ssize_t put
    while size:
        put = pwrite(fd, data, size, <int64_t> offset)
        if put < 0:
            if errno == EINTR:
                continue
            return errno
        if put == 0:
            return EIO
        data += put
        offset += <uint64_t> put
        size -= <size_t> put
    return 0


cdef int sync_data(int fd) noexcept nogil:
    while fdatasync(fd) < 0:
        if errno != EINTR:
            return errno
    return 0


def stamp_of(fd):
    """(bytes, ns of the last change) of an open file. Raises HostError."""
    try:
        return (os.lseek(fd, 0, os.SEEK_END), os.fstat(fd).st_mtime_ns)
    except OSError as error:
        raise HostError(f"disk: {error.strerror}; check the host's disk") from None


cdef class Disk:
    """sectors sectors of 512 bytes. Base of all; by itself it has none.

    failures counts requests that the host did not do, last_errno says why the last one was not done.
    """

    cdef int read(self, uint64_t first, uint32_t count, uint8_t *data) noexcept nogil:
        """Read count sectors from first on into data: 0 or an errno."""
        if first > self.sectors or count > self.sectors - first:
            return EIO
        return self.counted(self.do_read(first, count, data))

    cdef int write(self, uint64_t first, uint32_t count, const uint8_t *data) noexcept nogil:
        """Write count sectors from first on: 0 or an errno."""
        if not self.writable:
            return EROFS
        if first > self.sectors or count > self.sectors - first:
            return EIO
        return self.counted(self.do_write(first, count, data))

    cdef int flush(self) noexcept nogil:
        """All that was written survives a crash of the host from now on: 0 or an errno."""
        return self.counted(self.do_flush()) if self.writable else 0

    cdef int counted(self, int error) noexcept nogil:
        """error, which counts as a failure if it is one."""
        if error:
            self.failures += 1
            self.last_errno = error
        return error

    cdef int do_read(self, uint64_t first, uint32_t count, uint8_t *data) noexcept nogil:
        return 0

    cdef int do_write(self, uint64_t first, uint32_t count, const uint8_t *data) noexcept nogil:
        return 0

    cdef int do_flush(self) noexcept nogil:
        return 0

    # The same from Python: for tests and tools.

    def read_sectors(self, uint64_t first, uint32_t count):
        """count sectors as bytes. Raises AccessError outside the disk, HostError if the host fails."""
        cdef uint8_t *to
        cdef int error
        self._check(first, count)
        data = PyBytes_FromStringAndSize(NULL, <Py_ssize_t> count * SECTOR)
        to = <uint8_t *> PyBytes_AsString(data)
        with nogil:
            error = self.read(first, count, to)
        self._raise(error)
        return data

    def write_sectors(self, uint64_t first, bytes data):
        """Write whole sectors. Raises AccessError outside the disk, HostError if the host fails."""
        cdef const uint8_t *source = <const uint8_t *> PyBytes_AsString(data)
        cdef uint32_t count = <uint32_t> (len(data) // SECTOR)
        cdef int error
        if len(data) % SECTOR:
            raise AccessError(f"disk: {len(data)} bytes are no whole number of sectors of {SECTOR}")
        self._check(first, count)
        with nogil:
            error = self.write(first, count, source)
        self._raise(error)

    def sync(self):
        """Flush. Raises HostError if the host fails."""
        cdef int error
        with nogil:
            error = self.flush()
        self._raise(error)

    def close(self):
        """Flush what only this process knows, give the file back, unlocked. Raises HostError if the host fails."""

    def stamps(self):
        """What tells whether the host's files are as they were: (bytes, ns of the last change) of each, base last."""
        return [stamp_of(fd) for fd in self.files()]

    def files(self):
        """The open files that the sectors are in."""
        return []

    def own_runs(self):
        """What is kept nowhere else and goes with this process: runs of sectors, (first, how many)."""
        return []

    def replace_own(self, runs):
        """Let the sectors of these runs be kept here and all others be the base's; their contents come by writing."""

    def _check(self, uint64_t first, uint32_t count):
        if first > self.sectors or count > self.sectors - first:
            raise AccessError(f"disk: {count} sectors from {first} on are outside its {self.sectors}")

    def _raise(self, int error):
        if error:
            raise HostError(f"disk: {os.strerror(error)}")


cdef class MemoryDisk(Disk):
    """A disk of zeros that nothing keeps: for tests. size in bytes, a multiple of 512."""

    def __cinit__(self, size, writable=True):
        if size <= 0 or size % SECTOR:
            raise AccessError(f"disk: {size} bytes are no whole number of sectors of {SECTOR}")
        self.data = <uint8_t *> calloc(<size_t> size, 1)
        if self.data == NULL:
            raise HostError(f"disk: no memory for {size} bytes; make it smaller")
        self.sectors = <uint64_t> size // SECTOR
        self.writable = writable
        self.bad_from = self.sectors

    def __dealloc__(self):
        free(self.data)

    def protect(self):
        """No more writes."""
        self.writable = False

    def fail_from(self, uint64_t first, int error):
        """From now on whatever touches a sector from first on fails with this errno, and so does a flush; 0 ends it."""
        self.bad_from = first if error else self.sectors
        self.bad_errno = error

    cdef int do_read(self, uint64_t first, uint32_t count, uint8_t *data) noexcept nogil:
        if self.bad_errno and first + count > self.bad_from:
            return self.bad_errno
        memcpy(data, self.data + first * SECTOR, <size_t> count * SECTOR)
        return 0

    cdef int do_write(self, uint64_t first, uint32_t count, const uint8_t *data) noexcept nogil:
        if self.bad_errno and first + count > self.bad_from:
            return self.bad_errno
        memcpy(self.data + first * SECTOR, data, <size_t> count * SECTOR)
        return 0

    cdef int do_flush(self) noexcept nogil:
        return self.bad_errno


cdef class RawDisk(Disk):
    """An image as it is. Owns fd, an open file of size bytes, which is locked as disk_image.py says.

    end: bytes that the file has, where it ends within its last sector: zeros follow, until that is written.
    """

    def __cinit__(self, int fd, *args, **kwargs):
        self.fd = fd

    def __init__(self, int fd, size, writable, end=None):
        self.sectors = <uint64_t> size // SECTOR
        self.end = <uint64_t> (size if end is None else end)
        self.writable = writable

    def __dealloc__(self):
        if self.fd >= 0:
            close_fd(self.fd)

    def files(self):
        return [self.fd] if self.fd >= 0 else []

    cdef int do_read(self, uint64_t first, uint32_t count, uint8_t *data) noexcept nogil:
        return read_padded(self.fd, first * SECTOR, data, <size_t> count * SECTOR, self.end)

    cdef int do_write(self, uint64_t first, uint32_t count, const uint8_t *data) noexcept nogil:
        cdef int error = write_all(self.fd, first * SECTOR, data, <size_t> count * SECTOR)
        if not error:
            self.end = max(self.end, (first + count) * SECTOR)
        return error

    cdef int do_flush(self) noexcept nogil:
        return self.durably()

    cdef int durably(self) noexcept nogil:
        """fdatasync, which never goes well again once it has failed."""
        if self.lost == 0:
            self.lost = sync_data(self.fd)
        return self.lost

    def close(self):
        self._raise(self.give_back())

    cdef int give_back(self) noexcept nogil:
        """0 or an errno: some file systems tell only here that they could not write."""
        cdef int error = 0
        self.sectors = 0        # a drive that still holds this reads and writes nothing
        if self.fd >= 0:
            if close_fd(self.fd) < 0 and errno != EINTR and self.writable:
                error = errno
            self.fd = -1
        return error


cdef class OverlayDisk(RawDisk):
    """Writes of a base image, kept in a file of their own. Owns fd and base_fd, both open files.

    map_offset, data_offset: places in the file fd. durable: False where the file goes away with this process, and
    a flush has nothing to do. The file has at least data_offset + size bytes. end: as above, of the base.
    """

    def __cinit__(self, int fd, int base_fd, *args, **kwargs):
        self.base_fd = base_fd

    def __init__(self, int fd, int base_fd, size, map_offset, data_offset, durable=True, end=None):
        RawDisk.__init__(self, fd, size, True, end)
        self.map_offset = map_offset
        self.data_offset = data_offset
        self.durable = durable
        self.map_bytes = ((self.sectors + 7) // 8 + COPY_PAGE - 1) // COPY_PAGE * COPY_PAGE
        self.map = <uint8_t *> calloc(self.map_bytes, 1)
        self.stale = <uint8_t *> calloc(self.map_bytes // COPY_PAGE, 1)
        if self.map == NULL or self.stale == NULL:
            raise HostError(f"disk: no memory for the map of {size} bytes; use no overlay and no snapshot")

    def __dealloc__(self):
        if self.map != NULL and self.stale != NULL and self.fd >= 0:
            self.do_flush()
        if self.base_fd >= 0:
            close_fd(self.base_fd)
        free(self.map)
        free(self.stale)

    def load_map(self):
        """Read the map from the file, of which only what was written takes memory. Raises HostError."""
        cdef uint64_t at, end = self.map_offset + self.map_bytes
        at = self.map_offset
        while at < end:
            try:
                found = os.lseek(self.fd, at, os.SEEK_DATA)
            except OSError as error:
                if error.errno == ENXIO:
                    break       # no data from here on
                found = at      # a file system that cannot tell
            if found >= end:
                break
            at += (found - at) // COPY_PAGE * COPY_PAGE
            self._raise(read_all(self.fd, at, self.map + (at - self.map_offset), COPY_PAGE))
            at += COPY_PAGE

    def own_sectors(self):
        """How many sectors the overlay has."""
        cdef uint64_t sector, count = 0
        for sector in range(self.sectors):
            count += self.here(sector)
        return count

    def files(self):
        """Without a durable overlay the base alone: the rest is not there for another process."""
        own = [self.fd] if self.durable else []
        return [fd for fd in [*own, self.base_fd] if fd >= 0]

    def own_runs(self):
        cdef uint64_t sector = 0, last
        runs = []
        if self.durable:
            return runs
        while sector < self.sectors:
            if sector % 8 == 0 and not self.map[sector >> 3]:
                sector += 8
                continue
            if self.here(sector):
                last = sector
                while last < self.sectors and self.here(last):
                    last += 1
                runs.append((sector, last - sector))
                sector = last
            sector += 1
        return runs

    def replace_own(self, runs):
        cdef uint64_t sector
        if self.durable:
            return
        memset(self.map, 0, self.map_bytes)
        for first, count in runs:
            for sector in range(<uint64_t> first, <uint64_t> (first + count)):
                self.map[sector >> 3] |= <uint8_t> (1 << (sector & 7))

    cdef bint here(self, uint64_t sector) noexcept nogil:
        return self.map[sector >> 3] >> (sector & 7) & 1

    cdef uint32_t run_of(self, uint64_t first, uint32_t count) noexcept nogil:
        """How many of count sectors from first on lie where the first one does."""
        cdef bint place = self.here(first)
        cdef uint32_t run = 1
        while run < count and self.here(first + run) == place:
            run += 1
        return run

    cdef int do_read(self, uint64_t first, uint32_t count, uint8_t *data) noexcept nogil:
        cdef uint32_t run
        cdef int error
        while count:
            run = self.run_of(first, count)
            if self.here(first):
                error = read_all(self.fd, self.data_offset + first * SECTOR, data, <size_t> run * SECTOR)
            else:
                error = read_padded(self.base_fd, first * SECTOR, data, <size_t> run * SECTOR, self.end)
            if error:
                return error
            first += run
            count -= run
            data += <size_t> run * SECTOR
        return 0

    cdef int do_write(self, uint64_t first, uint32_t count, const uint8_t *data) noexcept nogil:
        cdef uint64_t sector
        cdef uint8_t bit
        cdef int error = write_all(self.fd, self.data_offset + first * SECTOR, data, <size_t> count * SECTOR)
        if error:
            return error
        for sector in range(first, first + count):
            bit = <uint8_t> (1 << (sector & 7))
            if not self.map[sector >> 3] & bit:
                self.map[sector >> 3] |= bit
                self.stale[(sector >> 3) // COPY_PAGE] = 1
                self.any_stale = True
        return 0

    cdef int do_flush(self) noexcept nogil:
        """Data first, then the map that tells of it."""
        cdef uint64_t page
        cdef int error
        if not self.durable:
            return 0
        error = self.durably()
        if error or not self.any_stale:
            return error
        for page in range(self.map_bytes // COPY_PAGE):
            if self.stale[page]:
                error = write_all(self.fd, self.map_offset + page * COPY_PAGE, self.map + page * COPY_PAGE, COPY_PAGE)
                if error:
                    return error
                self.stale[page] = 0
        error = self.durably()
        if error == 0:
            self.any_stale = False
        return error

    def close(self):
        cdef int error = 0
        cdef int at_end
        if self.fd >= 0:
            error = self.do_flush()
        at_end = self.give_back()
        if self.base_fd >= 0:
            close_fd(self.base_fd)
            self.base_fd = -1
        self._raise(error or at_end)
