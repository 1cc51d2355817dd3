# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
# Places in translated code that call in_byte() .. out_long(), and what was found out about each.
#
# A place is the return address of that call. The core throws translated code away as a whole, and reuses its buffer
# only then, so an address stands for one instruction until forget_sites(). A block that was invalidated by itself (its
# bytes were stored to) keeps its addresses to its end; what replaces it is translated elsewhere.
from libc.stdint cimport uint8_t, uint32_t, uintptr_t
from libc.string cimport memset

from hyperport.cpu.decode cimport PortInstruction
from hyperport.io.hypercall cimport Call

cdef enum:
    SITES = 1024            # a power of two

cdef enum SiteKind:
    SITE_UNKNOWN = 0
    SITE_PLAIN = 1          # one element for one call of the core: IN, OUT, INS or OUTS without REP
    SITE_DOORBELL = 2       # an OUT that is a hypercall
    SITE_CALL = 3           # a doorbell whose call is one element
    SITE_STRING = 4         # INS or OUTS with REP

cdef struct Site:
    uintptr_t caller
    uint32_t what               # a doorbell, an index; EIP of a string
    uint8_t kind
    const Call *call            # of a SITE_CALL
    PortInstruction string

cdef struct Sites:
    Site table[SITES]


cdef inline Site *site_of(Sites *sites, uintptr_t caller) noexcept nogil:
    """Where this place is remembered; caller tells whether it is."""
    return &sites.table[(caller >> 2) & (SITES - 1)]


cdef inline uint8_t kind_at(const Site *site, uintptr_t caller) noexcept nogil:
    return site.kind if site.caller == caller else SITE_UNKNOWN


cdef inline void forget_sites(Sites *sites) noexcept nogil:
    memset(sites, 0, sizeof(Sites))
