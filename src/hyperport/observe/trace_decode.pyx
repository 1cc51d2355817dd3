# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""From the blocks of a trace file to records. trace_file.py finds the blocks; trace_format.pxd says how they look.

A file may be anything: nothing is read beyond a block's end, and what makes no sense is a StateError that says where.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from hyperport.observe.trace_format cimport (
    BARE,
    FLAG_CPL_SHIFT,
    FLAG_CROSSED,
    FLAG_EXACT,
    FLAG_OUT,
    FLAG_PATH_SHIFT,
    FLAG_PLACED,
    FLAG_SIZE_SHIFT,
    FLAG_SPACE_SHIFT,
    FORMAT_VERSION,
    HEAD_AGAIN,
    HEAD_KIND_SHIFT,
    HEAD_LEVEL_SHIFT,
    HEAD_MORE,
    HEAD_VALUE_SHIFT,
    KIND_MASK,
    LINE,
    LONG,
    SHORT,
    SITE,
    SLOT_MASK,
    SLOTS,
    STRING,
    TIME,
    BlockHeader,
    SiteKey,
    checksum,
)

from hyperport.bus.access import Direction, Place, Space
from hyperport.bus.port_bus import Path
from hyperport.errors import StateError

HEADER_SIZE = sizeof(BlockHeader)
VERSION = FORMAT_VERSION
MOST_BODY = 1 << 26         # bytes: no block of ours is near it

PATHS = {int(path): path for path in Path}
SPACES = {int(space): space for space in Space}
DIRECTIONS = tuple(Direction)


cdef class TracedAccess:
    """One access of a trace; the first fields are those of PortAccess.

    number: from 0 since the trace began. ns: since power-on, of the reading of the clock that was the last before it;
    stamped: it is the access's own. crossings: that it is charged with. place: CS:EIP and CPL, or None.
    """

    cdef readonly object direction, path, space
    cdef readonly uint32_t port, count
    cdef readonly uint8_t size, crossings
    cdef readonly bytes data
    cdef readonly bint stamped
    cdef readonly uint64_t number, ns
    cdef SiteKey site

    @property
    def place(self):
        if not self.site.flags & FLAG_PLACED:
            return None
        return Place(self.site.cs, self.site.eip, self.site.flags >> FLAG_CPL_SHIFT & 3, bool(self.site.flags & FLAG_EXACT))

    @property
    def value(self):
        """The first element as an unsigned integer."""
        return int.from_bytes(self.data[: self.size], "little")

    def __repr__(self):
        return f"<access {self.number}: {self.direction.name} {self.port:#x} {self.data.hex()}>"


cdef class LineChange:
    """An interrupt line is at level, 0 or 1, from ns on."""

    cdef readonly int line, level
    cdef readonly uint64_t ns

    def __repr__(self):
        return f"<line {self.line}: {self.level}>"


def parse_header(bytes raw):
    """(kind, version, length of the body, number of the first access, accesses) of a block header; None if it is none."""
    cdef BlockHeader header
    if len(raw) != sizeof(BlockHeader):
        return None
    memcpy(&header, <const char *> raw, sizeof(BlockHeader))
    if memcmp(header.magic, b"hpTB", 4) or header.length > MOST_BODY or header.length & 3:
        return None
    return header.kind, header.version, header.length, header.first, header.accesses


def is_whole(bytes raw, bytes body):
    """Whether the body is what its header was written for."""
    cdef BlockHeader header
    if len(raw) != sizeof(BlockHeader):
        return False
    memcpy(&header, <const char *> raw, sizeof(BlockHeader))
    return len(body) == header.length and checksum(<const uint8_t *> <const char *> body, len(body)) == header.checksum


cdef class Decoder:
    """Turns blocks of accesses, in their order, into TracedAccess and LineChange."""

    cdef SiteKey sites[SLOTS]
    cdef uint8_t known[SLOTS]
    cdef list pieces            # of a string that is not at its end; None: its beginning is not here
    cdef uint64_t latest        # ns
    cdef readonly uint64_t cut  # accesses whose beginning is not here, which were left out

    def records(self, bytes raw, bytes body):
        """The records of one block, as a list. Raises StateError."""
        cdef BlockHeader header
        cdef const uint8_t *data = <const uint8_t *> <const char *> body
        cdef const uint8_t *end = data + len(body)
        cdef uint32_t head, kind, length, count, delta
        cdef uint64_t ticks, number, wide
        cdef double rate
        cdef const SiteKey *site
        cdef bint bare
        cdef int i
        cdef LineChange change
        memcpy(&header, <const char *> raw, sizeof(BlockHeader))
        for i in range(SLOTS):
            self.known[i] = 0
        ticks, number = header.begin_ticks, header.first
        rate = 1.0
        if header.end_ticks > header.begin_ticks and header.end_ns >= header.begin_ns:
            rate = <double> (header.end_ns - header.begin_ns) / <double> (header.end_ticks - header.begin_ticks)
        found = []
        while data < end:
            if end - data < 4:
                raise self.damage(body, data)
            memcpy(&head, data, 4)
            kind = head >> HEAD_KIND_SHIFT & KIND_MASK
            bare = kind & BARE != 0
            kind &= ~<uint32_t> BARE
            length = 4
            if kind == SITE or kind == TIME:
                length = 16 if kind == SITE else 12
                if end - data < length or bare:
                    raise self.damage(body, data)
                if kind == SITE:
                    memcpy(&self.sites[head & SLOT_MASK], data + 4, sizeof(SiteKey))
                    self.known[head & SLOT_MASK] = 1
                else:
                    memcpy(&wide, data + 4, 8)
                    ticks = wide
                data += length
                continue
            if not bare:
                if end - data < 8:
                    raise self.damage(body, data)
                memcpy(&delta, data + 4, 4)
                ticks += delta
                length = 8
            self.latest = max(self.latest, header.begin_ns + <uint64_t> (<double> (ticks - header.begin_ticks) * rate))
            if kind == LINE:
                change = LineChange.__new__(LineChange)
                change.line = head >> HEAD_VALUE_SHIFT & 0xFF
                change.level = head >> HEAD_LEVEL_SHIFT & 1
                change.ns = self.latest
                found.append(change)
                data += length
                continue
            site = &self.sites[head & SLOT_MASK]
            if kind > STRING or not self.known[head & SLOT_MASK] or site.flags >> FLAG_PATH_SHIFT & 7 not in PATHS \
                    or site.flags >> FLAG_SPACE_SHIFT & 3 not in SPACES:
                raise self.damage(body, data)
            count = 1
            if kind == SHORT:
                text = PyBytes_FromStringAndSize(<const char *> data + 2, 1 << (site.flags >> FLAG_SIZE_SHIFT & 1))
            elif kind == LONG:
                if end - data < length + 4:
                    raise self.damage(body, data)
                text = PyBytes_FromStringAndSize(<const char *> data + length, 4)
                length += 4
            else:
                if end - data < length + 4:
                    raise self.damage(body, data)
                memcpy(&count, data + length, 4)
                length += 4
                wide = <uint64_t> count << (site.flags >> FLAG_SIZE_SHIFT & 3)
                if <uint64_t> (end - data) < length + ((wide + 3) & ~<uint64_t> 3):
                    raise self.damage(body, data)
                text = PyBytes_FromStringAndSize(<const char *> data + length, <Py_ssize_t> wide)
                length += <uint32_t> ((wide + 3) & ~<uint64_t> 3)
                if not head & HEAD_AGAIN:
                    self.pieces = []
                if self.pieces is not None:
                    self.pieces.append(text)
                if head & HEAD_MORE:
                    data += length
                    continue
                text, self.pieces = None if self.pieces is None else b"".join(self.pieces), None
                if text is None:
                    self.cut += 1
                    number += 1
                    data += length
                    continue
                count = <uint32_t> (len(text) >> (site.flags >> FLAG_SIZE_SHIFT & 3))
            found.append(access_of(site, count, text, number, self.latest, not bare))
            number += 1
            data += length
        return found

    cdef damage(self, bytes body, const uint8_t *at):
        return StateError(f"no record stands {at - <const uint8_t *> <const char *> body} bytes behind a block's begin")


cdef TracedAccess access_of(const SiteKey *site, uint32_t count, bytes data, uint64_t number, uint64_t ns, bint stamped):
    cdef TracedAccess access = TracedAccess.__new__(TracedAccess)
    access.direction = DIRECTIONS[site.flags & FLAG_OUT]
    access.space = SPACES[site.flags >> FLAG_SPACE_SHIFT & 3]
    access.path = PATHS[site.flags >> FLAG_PATH_SHIFT & 7]
    access.port = site.address
    access.size = <uint8_t> (1 << (site.flags >> FLAG_SIZE_SHIFT & 3))
    access.count = count
    access.crossings = 1 if site.flags & FLAG_CROSSED else 0
    access.data = data
    access.number, access.ns, access.stamped = number, ns, stamped
    access.site = site[0]
    return access
