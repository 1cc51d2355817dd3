# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""The 2,352 bytes of a CD-ROM sector in mode 1, made from its 2,048 bytes of user data. An image keeps only these.

ECMA-130 (2nd edition, June 1996), clause 14 and annex A. No disc was ever read, so the codes are never wrong.

    0       sync: 00h, ten of FFh, 00h
    12      header: minute, second, frame in BCD, counted from two seconds before block 0; mode 01h
    16      user data
    2064    EDC: a CRC of bytes 0 to 2063, lowest byte first
    2068    eight zeros
    2076    P parity, 172 bytes: 86 columns of 24 bytes each
    2248    Q parity, 104 bytes: 52 diagonals of 43 bytes each

P and Q are Reed-Solomon codes over GF(2^8) with the polynomial x^8 + x^4 + x^3 + x^2 + 1, each with two parity bytes,
a then b behind the data d: the sum of all bytes is 0, and so is their sum with each weighted by a power of alpha = 2
that goes up from 1 at the last one. Written out: a + b = sum(d), and 2a + b = 4 w, where w is the weighted sum of the
data, 1 at its last byte. Hence 3a = 4w + sum(d). Addition is XOR, and THIRD divides by 3.

The parity runs over bytes 12 to 2075, and Q over P too. They are two planes, of even and of odd bytes, woven together.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcpy, memset

from hyperport.errors import AccessError

cdef enum:
    HEADER_AT = 12
    USER_AT = 16
    EDC_AT = 2064
    P_AT = 2076
    Q_AT = 2248
    P_BYTES = Q_AT - P_AT
    Q_BYTES = RAW_SECTOR - Q_AT
    MODE_1 = 0x01
    FIELD_POLYNOMIAL = 0x11D
    FRAMES = 75                     # a second

# (x^16 + x^15 + x^2 + 1)(x^16 + x^2 + x + 1), lowest bit first (clause 14.3)
cdef uint32_t EDC_POLYNOMIAL = <uint32_t> 0xD8018001

cdef uint8_t TWICE[256]
cdef uint8_t THIRD[256]
cdef uint32_t EDC[256]

cdef void make_tables() noexcept:
    cdef uint32_t n, twice, crc
    for n in range(256):
        twice = n << 1
        if n & 0x80:
            twice ^= FIELD_POLYNOMIAL
        TWICE[n] = <uint8_t> twice
        THIRD[twice ^ n] = <uint8_t> n
        crc = n
        for _ in range(8):
            crc = crc >> 1 ^ (EDC_POLYNOMIAL if crc & 1 else 0)
        EDC[n] = crc


make_tables()


cdef uint32_t bcd(uint32_t number) noexcept nogil:
    return number // 10 << 4 | number % 10


cdef uint32_t msf_of(unsigned long long frames) noexcept nogil:
    """Minute, second, frame in three bytes; FFFFFFh's minute where there are too many."""
    return <uint32_t> (min(frames // FRAMES // 60, <unsigned long long> 255) << 16
                       | frames // FRAMES % 60 << 8 | frames % FRAMES)


cdef void put_parity(uint8_t *sector, uint32_t codes, uint32_t length, uint32_t step, uint32_t next_code,
                     uint32_t size, uint8_t *parity) noexcept nogil:
    """Parity of `codes` code words of `length` bytes. Bytes of a word are `step` apart, modulo `size`.

    Words come in pairs, of even and odd bytes; next_code is the distance from one pair's start to the next.
    """
    cdef uint32_t code, at
    cdef uint8_t weighted, total, byte
    for code in range(codes):
        at = code // 2 * next_code + (code & 1)
        weighted = total = 0
        for _ in range(length):
            byte = sector[HEADER_AT + at]
            weighted = TWICE[weighted] ^ byte
            total ^= byte
            at += step
            if at >= size:
                at -= size
        weighted = THIRD[TWICE[TWICE[weighted]] ^ total]
        parity[code] = weighted
        parity[codes + code] = weighted ^ total


cdef void put_raw(uint32_t block, uint8_t *sector) noexcept nogil:
    """Put all around the user data, which is in its place."""
    cdef uint32_t time = msf_of(<unsigned long long> block + LEAD_IN)
    cdef uint32_t crc = 0
    cdef uint32_t i
    sector[0] = 0x00
    memset(sector + 1, 0xFF, 10)
    sector[11] = 0x00
    sector[12] = <uint8_t> bcd(time >> 16)
    sector[13] = <uint8_t> bcd(time >> 8 & 0xFF)
    sector[14] = <uint8_t> bcd(time & 0xFF)
    sector[15] = MODE_1
    for i in range(<uint32_t> EDC_AT):
        crc = crc >> 8 ^ EDC[(crc ^ sector[i]) & 0xFF]
    memset(sector + EDC_AT, 0, P_AT - EDC_AT)
    for i in range(4):
        sector[EDC_AT + i] = <uint8_t> (crc >> (8 * i))
    put_parity(sector, 86, 24, 86, 2, P_AT - HEADER_AT, sector + P_AT)
    put_parity(sector, 52, 43, 88, 86, Q_AT - HEADER_AT, sector + Q_AT)


cdef int parts_size(uint8_t parts) noexcept nogil:
    """Bytes of a sector that READ CD gives for this selection; -1 if it leaves a gap, which is not allowed."""
    cdef uint8_t behind_sync = PART_SUBHEADER | PART_USER
    if (parts & PART_SYNC and parts & behind_sync and not parts & PART_HEADER) or (
            parts & PART_ECC and not parts & PART_USER):
        return -1
    return ((HEADER_AT if parts & PART_SYNC else 0) + (USER_AT - HEADER_AT if parts & PART_HEADER else 0)
            + (USER_DATA if parts & PART_USER else 0) + (RAW_SECTOR - EDC_AT if parts & PART_ECC else 0))


cdef uint32_t put_sector(uint8_t parts, uint32_t block, const uint8_t *user, uint8_t *to) noexcept nogil:
    """Write the selected parts of a block with this user data; how many bytes they are. They lie side by side."""
    cdef uint8_t sector[RAW_SECTOR]
    cdef uint32_t start = 0
    cdef uint32_t size = <uint32_t> max(parts_size(parts), 0)
    if not parts & PART_SYNC:
        start = HEADER_AT if parts & PART_HEADER else USER_AT
    memcpy(sector + USER_AT, user, USER_DATA)
    if parts != PART_USER:
        put_raw(block, sector)
    memcpy(to, sector + start, size)
    return size


def raw_sector(uint32_t block, bytes user, uint8_t parts=PART_BITS):
    """The selected parts of a sector, for tests. user: 2,048 bytes. Raises AccessError for another number of them."""
    cdef uint8_t out[RAW_SECTOR]
    if len(user) != USER_DATA:
        raise AccessError(f"cd-sector: {len(user)} bytes of user data; there are always {USER_DATA}")
    return PyBytes_FromStringAndSize(<const char *> out, put_sector(parts, block, <const uint8_t *> user, out))
