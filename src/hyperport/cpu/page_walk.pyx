# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""From a linear to a physical address, through the guest's page tables as the MMU reads them (SDM vol. 3, chapter 4).

For engines whose own MMU cannot be asked. 32-bit paging with 4 MiB pages (CR4.PSE, with the 40-bit addresses of PSE-36)
and PAE paging, CR0.WP, NX, and the accessed and dirty bits, which are set only where the access is allowed. Nothing is
cached: the tables are what memory holds now. Tables in device memory, or where nobody is, read as all ones.

PAE reads the four directory pointers from memory, where a CPU has kept them since CR3 was loaded: a guest that changes
them without loading CR3 is ahead of its CPU here.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from hyperport.memory.map cimport hp_host_at, hp_map
from hyperport.memory.ram cimport GuestMemory

cdef enum:
    CR0_WP = 1 << 16
    CR0_PG = <unsigned> 1 << 31
    CR4_PSE = 1 << 4
    CR4_PAE = 1 << 5

    PRESENT = 1 << 0
    WRITABLE = 1 << 1
    USER = 1 << 2
    ACCESSED = 1 << 5
    DIRTY = 1 << 6
    LARGE = 1 << 7              # in a directory entry: it maps a page itself

    ERROR_PRESENT = 1 << 0      # the page is there, but not for this access
    ERROR_RESERVED = 1 << 3     # a reserved bit of an entry is set

    PSE36_SHIFT = 13            # bits 20-13 of a large entry are bits 39-32 of its address
    PSE36_BITS = 0xFF
    PSE_RESERVED = 1 << 21

cdef uint64_t NO_EXECUTE = <uint64_t> 1 << 63
cdef uint64_t PAE_ADDRESS = 0xFFFFFF000             # 36 bits, as CPUID says (cpu/cpuid.py)
cdef uint64_t PAE_RESERVED = 0x7FFFFFF000000000
cdef uint64_t POINTER_RESERVED = 0xFFFFFFF0000001E6  # of a directory pointer
cdef uint64_t PAE_LARGE_RESERVED = 0x1FE000         # bits 20-13


cdef inline uint64_t entry_at(const hp_map *map, uint64_t address, uint32_t size) noexcept nogil:
    cdef uint64_t entry = 0
    cdef uint8_t *host = hp_host_at(map, address, size, False)
    if host == NULL:
        return <uint32_t> 0xFFFFFFFF if size == 4 else <uint64_t> -1
    memcpy(&entry, host, size)
    return entry


cdef inline void mark(const hp_map *map, uint64_t address, uint64_t entry, uint32_t bits) noexcept nogil:
    cdef uint8_t *host = hp_host_at(map, address, 1, True)
    if host != NULL and entry & bits != bits:
        host[0] |= <uint8_t> bits


cdef int walk(const hp_map *map, const Paging *paging, uint32_t linear, uint32_t access, uint64_t *physical) noexcept nogil:
    """Translate linear for an access: WALK_OK with the address in physical, or the error code of the #PF it raises."""
    cdef uint64_t directory_at, directory, table_at = 0, entry, rights
    cdef uint32_t size = 8 if paging.cr4 & CR4_PAE else 4
    cdef uint32_t error = access & (WALK_STORE | WALK_USER)
    cdef uint32_t used = ACCESSED | DIRTY if access & WALK_STORE else ACCESSED
    cdef bint large
    if not paging.cr0 & CR0_PG:
        physical[0] = linear
        return WALK_OK
    if access & WALK_FETCH and paging.nx and size == 8:
        error |= WALK_FETCH

    if size == 8:
        directory = entry_at(map, (paging.cr3 & <uint32_t> 0xFFFFFFE0) + (linear >> 30) * 8, 8)
        if not directory & PRESENT:
            return <int> error
        if directory & POINTER_RESERVED:
            return <int> (error | ERROR_PRESENT | ERROR_RESERVED)
        directory_at = (directory & PAE_ADDRESS) + (linear >> 21 & 0x1FF) * 8
    else:
        directory_at = (paging.cr3 & <uint32_t> 0xFFFFF000) + (linear >> 22) * 4
    directory = entry_at(map, directory_at, size)
    if not directory & PRESENT:
        return <int> error
    large = (directory & LARGE) != 0 and (size == 8 or paging.cr4 & CR4_PSE)
    if reserved(directory, size, large, paging.nx):
        return <int> (error | ERROR_PRESENT | ERROR_RESERVED)

    entry = directory
    rights = directory
    if not large:
        if size == 8:
            table_at = (directory & PAE_ADDRESS) + (linear >> 12 & 0x1FF) * 8
        else:
            table_at = (directory & <uint32_t> 0xFFFFF000) + (linear >> 12 & 0x3FF) * 4
        entry = entry_at(map, table_at, size)
        if not entry & PRESENT:
            return <int> error
        if reserved(entry, size, False, paging.nx):
            return <int> (error | ERROR_PRESENT | ERROR_RESERVED)
        rights = (directory & entry) | ((directory | entry) & NO_EXECUTE)

    if access & WALK_USER and not rights & USER:
        return <int> (error | ERROR_PRESENT)
    if access & WALK_STORE and not rights & WRITABLE and (access & WALK_USER or paging.cr0 & CR0_WP):
        return <int> (error | ERROR_PRESENT)
    if error & WALK_FETCH and rights & NO_EXECUTE:
        return <int> (error | ERROR_PRESENT)

    if not large:
        if not access & WALK_UNSEEN:
            mark(map, directory_at, directory, ACCESSED)
            mark(map, table_at, entry, used)
        physical[0] = (entry & PAE_ADDRESS if size == 8 else entry & <uint32_t> 0xFFFFF000) | (linear & 0xFFF)
        return WALK_OK
    if not access & WALK_UNSEEN:
        mark(map, directory_at, directory, used)
    if size == 8:
        physical[0] = (directory & PAE_ADDRESS & ~<uint64_t> 0x1FFFFF) | (linear & 0x1FFFFF)
    else:
        physical[0] = ((directory & <uint32_t> 0xFFC00000) | (directory >> PSE36_SHIFT & PSE36_BITS) << 32) | (linear & 0x3FFFFF)
    return WALK_OK


cdef inline bint reserved(uint64_t entry, uint32_t size, bint large, bint nx) noexcept nogil:
    """Whether a present entry of a directory or table has a reserved bit set."""
    cdef uint64_t bits
    if size == 4:
        bits = PSE_RESERVED if large else 0
    else:
        bits = PAE_RESERVED
        if not nx:
            bits |= NO_EXECUTE
        if large:
            bits |= PAE_LARGE_RESERVED
    return (entry & bits) != 0


def translate(GuestMemory memory not None, cr0, cr3, cr4, efer, linear, access=0):
    """walk() from Python: (physical address, None) or (None, error code). access is an or of the WALK_ bits."""
    cdef Paging paging = Paging(cr0, cr3, cr4, (efer >> 11) & 1)
    cdef uint64_t physical = 0
    cdef int error = walk(&memory.map.flat, &paging, linear, access, &physical)
    return (physical, None) if error == WALK_OK else (None, error)
