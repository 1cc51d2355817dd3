# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""What the core's translator gets to read in place of instructions that it would get wrong.

It takes many encodings for instructions that are none: undefined ones, those of features that CPUID does not claim, LOCK
where it is not allowed. cpu/undefined.pyx knows better. And two things come too late in the helpers that INS calls: it has by
then stored a 0 where the data are to go, and with a count of 0, or a page that is not there, no helper is called at
all. So for a whole instruction the translator reads

    HLT     for INS and OUTS, where CPL and IOPL alone do not allow ports (and so CPL is not 0): #GP(0), at the
            instruction and before any of its effects.
    UD2     for everything that is undefined, for what the engine does itself (F1, SMSW with a 32-bit register; see
            fidelity/vcpu.pyx), and for INS and OUTS while each element must be looked at.

The engine then looks at the bytes in memory. The core prefers 66 to F2 and F3 where they choose an SSE instruction; there
it reads the latter for each of them; and of the predicate of CMPPS and its like only the three bits that count. A byte
behind the limit of CS is #GP(0), here.

It reads code byte by byte, by one function. Calls for opcodes come from one place in the core: the place that the
first call of a vCPU comes from. After a prefix comes an opcode again. And since each instruction is read here before it is
translated, here is where a block is ended that would grow too large: translator_limits.pxd.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t, uintptr_t

from hyperport.cpu.undefined cimport (
    BY_REP,
    BY_REPNE,
    DEFINED,
    NEED_MORE,
    NEEDS_ALIGNMENT,
    NEEDS_NO_ERROR,
    NEEDS_TWO_REGISTERS,
    judge_instruction,
    prefixes_of,
)
from hyperport.cpu.vcpu cimport EFLAGS_VM, VECTOR_GP
from hyperport.engines.unicorn.fidelity.mend cimport (
    begin_instruction,
    begin_x87,
    beyond_code_limit,
    near_code_limit,
    next_page_absent,
    one_by_one,
)
from hyperport.engines.unicorn.fields cimport u32, u64
from hyperport.engines.unicorn.library cimport Library
from hyperport.engines.unicorn.translator_limits cimport end_block_in_time

include "layout.pxi"

cdef enum:
    CR0_PE = 1
    PAGE_SIZE = 4096
    LONGEST = 15                # bytes of an instruction
    NO_REGISTER = -1            # of begin_x87()
    HLT = 0xF4
    UD2_FIRST = 0x0F
    UD2_SECOND = 0x0B
    INS_BYTE = 0x6C             # 6C to 6F are INS and OUTS
    LOOPNE = 0xE0               # and LOOPE, E1
    DATA_SIZE = 0x66
    REP = 0xF3
    REPNE = 0xF2
    ADDRESS_SIZE = 0x67
    ESCAPE = 0x0F
    COMPARE = 0xC2              # 0F C2: CMPPS, CMPPD, CMPSS, CMPSD
    PREDICATE = 7

cdef uint64_t NOWHERE = <uint64_t> -1


cdef inline bint ports_need_map(char *env) noexcept nogil:
    """Does the I/O map decide, or nothing at all allow ports?"""
    cdef uint64_t eflags = u64(env, ENV_EFLAGS)[0]
    if not u64(env, ENV_CR)[0] & CR0_PE:
        return False
    return eflags & EFLAGS_VM or (u32(env, ENV_HFLAGS)[0] & HFLAG_CPL) > (eflags >> 12 & 3)


cdef void forget_position(CodeFilter *filter) noexcept nogil:
    filter.next_opcode = filter.second_byte = filter.predicate = NOWHERE
    filter.repeat = 0
    filter.opcode_caller = 0


cdef uint32_t filtered_byte(CodeFilter *filter, Library *library, void *env, uint64_t address,
                            uintptr_t caller) noexcept nogil:
    """The code byte at address, for the translator; caller is who asks. May fault."""
    cdef uint32_t byte
    cdef bint continued = filter.next_opcode == address
    end_block_in_time(filter.tcg)
    if filter.opcode_caller == 0:
        filter.opcode_caller = caller
    if filter.second_byte == address:
        filter.second_byte = NOWHERE
        return UD2_SECOND
    filter.next_opcode = filter.second_byte = NOWHERE       # first: the next lines may leave by a fault
    if beyond_code_limit(env, address):
        library.raise_exception(env, VECTOR_GP, 0)
    byte = library.fetch_byte(env, address)
    if filter.predicate == address:
        filter.predicate = NOWHERE
        return byte & PREDICATE
    if not continued:
        if caller != filter.opcode_caller:
            return byte
        byte = first_byte(filter, library, <char *> env, address, byte)
    if prefixes_of(<const uint8_t *> &byte, 1):
        filter.next_opcode = address + 1
        if filter.repeat and (byte == DATA_SIZE or byte >= REPNE):
            return filter.repeat
    return byte


cdef uint32_t bytes_of_operand(Library *library, void *env, uint64_t address, bint wide) noexcept nogil:
    """The length of ModRM, which is there, and what belongs to it. wide: 32-bit addresses. May fault."""
    cdef uint32_t modrm = library.fetch_byte(env, <uint32_t> address), mod = modrm >> 6, rm = modrm & 7
    if mod == 3:
        return 1
    if not wide:
        return 3 if mod == 2 or (mod == 0 and rm == 6) else 1 + mod
    if rm == 4:
        rm = library.fetch_byte(env, <uint32_t> (address + 1)) & 7
        return 6 if mod == 2 or (mod == 0 and rm == 5) else 2 + mod
    return 5 if mod == 2 or (mod == 0 and rm == 5) else 1 + mod


cdef uint32_t first_byte(CodeFilter *filter, Library *library, char *env, uint64_t address, uint32_t byte) noexcept nogil:
    """An instruction begins with this byte: look at all of it that matters. May fault."""
    cdef uint8_t copy[LONGEST]
    cdef const uint8_t *code
    cdef void *host = NULL
    cdef uint32_t available = PAGE_SIZE - (address & (PAGE_SIZE - 1))
    cdef bint code32 = (u32(env, ENV_HFLAGS)[0] & HFLAG_CS32) != 0
    cdef bint protected = (u64(env, ENV_CR)[0] & CR0_PE) and not u64(env, ENV_EFLAGS)[0] & EFLAGS_VM
    cdef uint8_t needs
    cdef bint small = not code32, wide = code32
    cdef int verdict
    cdef uint32_t i, prefixes
    cdef bint limited = near_code_limit(env, filter.tcg, address)
    if available < 2 * LONGEST and next_page_absent(env, filter.tcg, address + available):
        limited = True
    if available >= LONGEST and not limited:
        library.code_page_host(env, address, &host)
    if host != NULL:
        code = <const uint8_t *> host
        available = LONGEST
        verdict = judge_instruction(code, available, code32, protected, &needs)
    else:
        code = copy
        copy[0] = <uint8_t> byte
        available = 1
        verdict = judge_instruction(code, available, code32, protected, &needs)
        while verdict == NEED_MORE:
            if beyond_code_limit(env, <uint32_t> (address + available)):
                library.raise_exception(env, VECTOR_GP, 0)
            copy[available] = <uint8_t> library.fetch_byte(env, <uint32_t> (address + available))
            available += 1
            verdict = judge_instruction(code, available, code32, protected, &needs)
    prefixes = prefixes_of(code, available)
    for i in range(prefixes):
        if code[i] == DATA_SIZE:
            small = code32
        elif code[i] == ADDRESS_SIZE:
            wide = not code32
    begin_instruction(filter.tcg, <uint32_t> address, needs & NEEDS_ALIGNMENT != 0, small,
                      prefixes < available and code[prefixes] & 0xFE == INS_BYTE,
                      prefixes < available and code[prefixes] & 0xFE == LOOPNE)
    if needs & NEEDS_NO_ERROR:
        begin_x87(filter.tcg, code[prefixes + 1] & 7 if needs & NEEDS_TWO_REGISTERS else NO_REGISTER)
    filter.repeat = REP if verdict == BY_REP else REPNE if verdict == BY_REPNE else 0
    if prefixes < available and code[prefixes] & 0xFC == INS_BYTE and verdict == DEFINED:
        if ports_need_map(env):
            return HLT
        if not one_by_one(env):
            return byte
    elif verdict == DEFINED or filter.repeat:
        if prefixes + 2 < available and code[prefixes] == ESCAPE and code[prefixes + 1] == COMPARE:
            filter.predicate = address + prefixes + 2 + bytes_of_operand(library, env, address + prefixes + 2, wide)
        return byte
    filter.second_byte = address + 1
    return UD2_FIRST
