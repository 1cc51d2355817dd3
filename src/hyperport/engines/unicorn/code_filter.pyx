# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""What the core's translator gets to read in place of instructions that it would get wrong.

Two things come too late in the helpers that IN and OUT call. INS has by then stored a 0 where the data are to go, and
with a count of 0, or a page that is not there, no helper is called at all: no permission would be checked. And the core
looks at LOCK in few places: before most instructions it means nothing to it, and BT, BTS, BTR and BTC of a register
with LOCK it translates to an access at no address, on which it gives up. So the translator reads

    HLT     for INS and OUTS, where CPL and IOPL alone do not allow ports (and so CPL is not 0): #GP(0), at the
            instruction and before any of its effects. PortPath.on_fault() then looks at the bytes in memory.
    UD2     for an instruction with LOCK that cannot be locked, or whose destination is a register: #UD (SDM vol. 2A,
            LOCK).

It reads code byte by byte, by one function. Calls for opcodes come from one place in the core: the place that the
first call of all comes from. After a prefix comes an opcode again. And since each instruction is read here before it is
translated, here is where a block is ended that would grow too large: translator_limits.pxd.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memset

from hyperport.cpu.vcpu cimport EFLAGS_VM
from hyperport.engines.unicorn.fields cimport u32, u64
from hyperport.engines.unicorn.library cimport Library
from hyperport.engines.unicorn.translator_limits cimport end_block_in_time

include "layout.pxi"

cdef enum:
    CR0_PE = 1
    MOST_PREFIXES = 14          # of an instruction that is not too long
    LOCK = 0xF0
    HLT = 0xF4
    UD2_FIRST = 0x0F
    UD2_SECOND = 0x0B

    TWO_BYTES = 0x0F
    REGISTER_FORM = 0xC0        # ModRM with mod 3

    PREFIX = 1
    STRING = 2
    PLAIN = 3
    IMMEDIATE = 4               # with a byte more

cdef uint64_t NOWHERE = <uint64_t> -1
cdef uintptr_t opcode_caller = 0

cdef uint8_t[256] KIND
memset(KIND, 0, sizeof(KIND))
for _kind, _opcodes in (
    (PREFIX, b"\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3"),
    (STRING, b"\x6c\x6d\x6e\x6f"),
    (PLAIN, b"\xec\xed\xee\xef"),
    (IMMEDIATE, b"\xe4\xe5\xe6\xe7"),
):
    for _opcode in _opcodes:
        KIND[_opcode] = _kind


# Instructions that LOCK may stand before, by opcode: a bit for each value of ModRM.reg.
cdef uint8_t[256] LOCKABLE
cdef uint8_t[256] LOCKABLE_0F
memset(LOCKABLE, 0, sizeof(LOCKABLE))
memset(LOCKABLE_0F, 0, sizeof(LOCKABLE_0F))
for _opcode in bytes.fromhex("00010809101118192021282930318687"):
    LOCKABLE[_opcode] = 0xFF            # ADD OR ADC SBB AND SUB XOR, XCHG
for _opcode in bytes.fromhex("80818283"):
    LOCKABLE[_opcode] = 0x7F            # the same with an immediate; 7 is CMP
LOCKABLE[0xF6] = LOCKABLE[0xF7] = 0x0C  # NOT NEG
LOCKABLE[0xFE] = LOCKABLE[0xFF] = 0x03  # INC DEC
for _opcode in bytes.fromhex("abb3bbb0b1c0c1"):
    LOCKABLE_0F[_opcode] = 0xFF         # BTS BTR BTC, CMPXCHG, XADD
LOCKABLE_0F[0xBA] = 0xE0                # BTS BTR BTC with an immediate
LOCKABLE_0F[0xC7] = 0x02                # CMPXCHG8B


cdef bint can_be_locked(Library *library, void *env, uint64_t address, uint32_t opcode) noexcept nogil:
    """May LOCK stand before the instruction whose opcode is at address? Reads no byte that the CPU does not read."""
    cdef uint32_t by_reg = LOCKABLE[opcode]
    cdef uint32_t modrm
    if opcode == TWO_BYTES:
        address += 1
        by_reg = LOCKABLE_0F[library.fetch_byte(env, address)]
    if by_reg == 0:
        return False
    modrm = library.fetch_byte(env, address + 1)
    return modrm < REGISTER_FORM and by_reg >> (modrm >> 3 & 7) & 1


cdef inline bint ports_need_map(char *env) noexcept nogil:
    """Does the I/O map decide, or nothing at all allow ports?"""
    cdef uint64_t eflags = u64(env, ENV_EFLAGS)[0]
    if not u64(env, ENV_CR)[0] & CR0_PE:
        return False
    return eflags & EFLAGS_VM or (u32(env, ENV_HFLAGS)[0] & HFLAG_CPL) > (eflags >> 12 & 3)


cdef void forget_position(CodeFilter *filter) noexcept nogil:
    filter.next_opcode = filter.second_byte = NOWHERE
    filter.prefixes = filter.locked = 0


cdef uint32_t filtered_byte(CodeFilter *filter, Library *library, void *env, uint64_t address,
                            uintptr_t caller) noexcept nogil:
    """The code byte at address, for the translator; caller is who asks. May fault."""
    global opcode_caller
    cdef uint32_t byte, kind
    cdef bint continued = filter.next_opcode == address
    end_block_in_time(filter.tcg)
    if opcode_caller == 0:
        opcode_caller = caller
    if filter.second_byte == address:
        filter.second_byte = NOWHERE
        return UD2_SECOND
    filter.next_opcode = filter.second_byte = NOWHERE       # first: the next line may leave by a page fault
    byte = library.fetch_byte(env, address)
    if not continued:
        if caller != opcode_caller:
            return byte
        filter.prefixes = filter.locked = 0
    if KIND[byte] == PREFIX:
        filter.prefixes += 1
        filter.locked |= byte == LOCK
        if filter.prefixes < MOST_PREFIXES:
            filter.next_opcode = address + 1
        elif filter.prefixes == MOST_PREFIXES:
            kind = KIND[library.fetch_byte(env, address + 1)] if filter.locked else 0
            if kind == STRING or kind == PLAIN:     # UD2 must begin here, or it would be too long
                filter.second_byte = address + 1
                return UD2_FIRST
            filter.next_opcode = address + 1
    elif filter.locked and not can_be_locked(library, env, address, byte):
        filter.second_byte = address + 1
        return UD2_FIRST
    elif KIND[byte] == STRING and ports_need_map(<char *> env):
        return HLT
    return byte
