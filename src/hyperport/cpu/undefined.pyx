# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""Which encodings are instructions of the CPU that CPUID describes, and which are #UD.

The tables are those of the SDM, vol. 2, appendix A (opcode maps A-2, A-3; groups A-6; x87 A-7 to A-22), without what
cpu/cpuid.py does not claim: SSSE3 and later, CLFLUSH, POPCNT, MOVBE, MONITOR, SYSCALL, RDTSCP, XSAVE, VMX, 3DNow!, RSM
outside of SMM. LOCK is allowed with a memory operand of the instructions that vol. 2A, LOCK, names, and nowhere else.
Encodings that the SDM leaves blank but every i386 since the 80386 or its 80387 executes stay instructions: SALC (D6), 82h as
80h, TEST as F6 /1 and F7 /1, SAL as C0 /6 and its like, and the aliases among D9 to DF.
"""

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memset

cdef enum:
    MOST_BYTES = 15
    LOCK = 0xF0

    # how an opcode is looked at
    PLAIN = 0               # nothing but LOCK is wrong with it
    PREFIX = 1
    GROUP = 2               # ModRM decides
    X87 = 3
    ESCAPE = 4              # 0F
    NOTHING = 5             # #UD
    BREAKPOINT = 6          # F1

    # mandatory prefixes
    NP = 1
    P66 = 2
    PF3 = 4
    PF2 = 8
    ANY_PREFIX = 16         # it has none; 66 is the operand size, F2 and F3 mean nothing

cdef struct Group:          # bits by the reg field of ModRM
    uint8_t kind
    uint8_t memory          # allowed with a memory operand
    uint8_t register        # and with a register
    uint8_t locked          # with LOCK and a memory operand
    uint8_t protected       # only in protected mode, and not in virtual-8086 mode
    uint8_t prefixes        # NP .. PF2, or ANY_PREFIX
    uint8_t memory_prefixes     # those that go with a memory operand only
    uint8_t register_prefixes   # and with a register only
    uint8_t aligned         # with these prefixes, a memory operand of 16 bytes that must be aligned
    uint8_t mmx             # with these, registers of the x87 are MMX's

cdef uint8_t[256] HAS_IMMEDIATE         # of the one-byte opcodes without ModRM: more bytes follow
cdef Group[256] ONE
cdef Group[256] TWO
cdef uint8_t[8][64] X87_REGISTER        # of D8 to DF, by the low six bits of ModRM: 1 for an instruction
cdef uint8_t[8] X87_MEMORY              # by the reg field


def _group(memory=0xFF, register=0xFF, locked=0, protected=False, prefixes=ANY_PREFIX, memory_prefixes=0,
           register_prefixes=0):
    return {"kind": GROUP, "memory": memory, "register": register, "locked": locked, "protected": protected,
            "prefixes": prefixes, "memory_prefixes": memory_prefixes, "register_prefixes": register_prefixes,
            "aligned": 0, "mmx": 0}


def _fill():
    memset(ONE, 0, sizeof(ONE))
    memset(HAS_IMMEDIATE, 0, sizeof(HAS_IMMEDIATE))
    memset(TWO, 0, sizeof(TWO))
    cdef int opcode
    for opcode in range(256):
        ONE[opcode].kind = PLAIN
        TWO[opcode].kind = NOTHING
    for opcode in b"\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3":
        ONE[opcode].kind = PREFIX
    for opcode in range(0xD8, 0xE0):
        ONE[opcode].kind = X87
    for opcode in (*range(0x04, 0x40, 8), *range(0x05, 0x40, 8), *b"\x68\x6a\x9a\xa8\xa9\xc2\xc8\xca\xcd\xd4\xd5",
                   *range(0x70, 0x80), *range(0xA0, 0xA4), *range(0xB0, 0xC0), *range(0xE0, 0xEC)):
        HAS_IMMEDIATE[opcode] = 1
    ONE[0x0F].kind = ESCAPE
    ONE[0xF1].kind = BREAKPOINT
    for opcode in b"\x00\x01\x08\x09\x10\x11\x18\x19\x20\x21\x28\x29\x30\x31\x86\x87":
        ONE[opcode] = _group(locked=0xFF)
    for opcode in b"\x80\x81\x82\x83":
        ONE[opcode] = _group(locked=0x7F)               # not CMP
    for opcode in b"\x62\x8d\xc4\xc5":
        ONE[opcode] = _group(register=0)                # BOUND, LEA, LES, LDS
    for opcode in b"\x8f\xc6\xc7":
        ONE[opcode] = _group(0x01, 0x01)                # POP; MOV
    ONE[0x63] = _group(protected=True)                  # ARPL
    ONE[0x8C] = _group(0x3F, 0x3F)                      # six segment registers,
    ONE[0x8E] = _group(0x3D, 0x3D)                      # and CS cannot be loaded
    ONE[0xF6] = ONE[0xF7] = _group(locked=0x0C)         # NOT, NEG
    ONE[0xFE] = _group(0x03, 0x03, locked=0x03)         # INC, DEC
    ONE[0xFF] = _group(0x7F, 0x57, locked=0x03)         # far CALL and JMP need memory

    for opcode in (*b"\x06\x08\x09\x0b\x30\x31\x32\x33\x34\x35\xa0\xa1\xa2\xa8\xa9", *range(0x80, 0x90),
                   *range(0xC8, 0xD0)):
        TWO[opcode].kind = PLAIN
    for opcode in (*range(0x18, 0x20), 0x21, 0x23, *range(0x40, 0x50), *range(0x90, 0xA0),
                   *b"\xa3\xa4\xa5\xac\xad\xaf\xb6\xb7\xbc\xbd\xbe\xbf"):
        TWO[opcode] = _group()
    TWO[0x00] = _group(0x3F, 0x3F, protected=True)
    TWO[0x01] = _group(0xDF, 0x50)                      # SMSW and LMSW take a register
    TWO[0x02] = TWO[0x03] = _group(protected=True)
    TWO[0x0D] = _group()                                # a hint; with a register, nothing
    TWO[0x20] = TWO[0x22] = _group(0x1D, 0x1D)          # CR0, CR2, CR3, CR4, whatever mod is
    for opcode in b"\xab\xb0\xb1\xb3\xbb\xc0\xc1":
        TWO[opcode] = _group(locked=0xFF)
    TWO[0xBA] = _group(0xF0, 0xF0, locked=0xE0)
    TWO[0xC7] = _group(0x02, 0x00, locked=0x02)
    for opcode in b"\xb2\xb4\xb5":
        TWO[opcode] = _group(register=0)
    TWO[0xAE] = _group(0x0F, 0xE0, prefixes=NP)         # FXSAVE .. STMXCSR; the fences

    for opcode in b"\x10\x11\x2a\x2c\x2d\x51\x58\x59\x5a\x5c\x5d\x5e\x5f\x70\xc2":
        TWO[opcode] = _group(prefixes=NP | P66 | PF3 | PF2)
    for opcode in (*b"\x14\x15\x28\x29\x2e\x2f\x54\x55\x56\x57\x6e\x74\x75\x76\xc4\xc6", *range(0x60, 0x6C),
                   *range(0xD1, 0xD6), *range(0xD8, 0xE6), *range(0xE8, 0xF0), *range(0xF1, 0xF7), *range(0xF8, 0xFF)):
        TWO[opcode] = _group(prefixes=NP | P66)
    TWO[0x12] = _group(prefixes=NP | PF3 | PF2, memory_prefixes=P66)
    TWO[0x16] = _group(prefixes=NP | PF3, memory_prefixes=P66)
    for opcode in b"\x13\x17\x2b\xe7":
        TWO[opcode] = _group(register=0, prefixes=NP | P66)
    for opcode in b"\x50\xc5\xd7\xf7":
        TWO[opcode] = _group(memory=0, prefixes=NP | P66)
    TWO[0x52] = TWO[0x53] = _group(prefixes=NP | PF3)
    TWO[0x5B] = TWO[0x6F] = TWO[0x7E] = TWO[0x7F] = _group(prefixes=NP | P66 | PF3)
    TWO[0x6C] = TWO[0x6D] = _group(prefixes=P66)
    TWO[0x71] = TWO[0x72] = _group(0, 0x54, prefixes=NP | P66)
    TWO[0x73] = _group(0, 0xCC, prefixes=NP | P66)      # of these, /3 and /7 with 66 only: see below
    TWO[0x77].kind = PLAIN
    TWO[0x77].prefixes = NP
    TWO[0x7C] = TWO[0x7D] = TWO[0xD0] = _group(prefixes=P66 | PF2)
    TWO[0xC3] = _group(register=0, prefixes=NP)
    TWO[0xD6] = _group(prefixes=P66, register_prefixes=PF3 | PF2)
    TWO[0xE6] = _group(prefixes=P66 | PF3 | PF2)
    TWO[0xF0] = _group(register=0, prefixes=PF2)

    # SDM vol. 2: exceptions types 2 and 4 of legacy SSE; unaligned operands have MOVUPS and its like, and types 3 and 5.
    for opcode in b"\x28\x29\x2b\x51\x54\x55\x56\x57\x58\x59\x5c\x5d\x5e\x5f\x14\x15\xc2\xc6":
        TWO[opcode].aligned = NP | P66
    TWO[0x52].aligned = TWO[0x53].aligned = NP
    TWO[0x12].aligned = TWO[0x16].aligned = PF3
    TWO[0x5B].aligned = NP | P66 | PF3
    TWO[0x70].aligned = P66 | PF3 | PF2
    TWO[0x7C].aligned = TWO[0x7D].aligned = TWO[0xD0].aligned = TWO[0xE6].aligned = P66 | PF2
    for opcode in (*b"\x2c\x2d\x5a\x6f\x7f\x74\x75\x76\xe7", *range(0x60, 0x6E), *range(0xD1, 0xD6), *range(0xD8, 0xE6),
                   *range(0xE8, 0xF0), *range(0xF1, 0xF7), *range(0xF8, 0xFF)):
        TWO[opcode].aligned = P66

    for opcode in (*range(0x60, 0x6C), *b"\x6e\x6f\x70\x71\x72\x73\x74\x75\x76\x77\x7e\x7f\xc4\xc5", *range(0xD1, 0xD6),
                   *range(0xD7, 0xE6), *range(0xE7, 0xF0), *range(0xF1, 0xFF)):
        TWO[opcode].mmx = NP
    TWO[0x2A].mmx = TWO[0x2C].mmx = TWO[0x2D].mmx = NP | P66     # CVTPI2PS and its like
    TWO[0xD6].mmx = PF3 | PF2                           # MOVQ2DQ, MOVDQ2Q

    memset(X87_REGISTER, 1, sizeof(X87_REGISTER))
    memset(X87_MEMORY, 0xFF, sizeof(X87_MEMORY))
    X87_MEMORY[1] = 0xFD
    X87_MEMORY[3] = 0xAF
    X87_MEMORY[5] = 0xDF
    for opcode, nothing in (
        (0xD9, (*range(0xD1, 0xD8), 0xE2, 0xE3, 0xE6, 0xE7, 0xEF)),
        (0xDA, (*range(0xE0, 0xE9), *range(0xEA, 0x100))),
        (0xDB, (0xE5, 0xE6, 0xE7, *range(0xF8, 0x100))),
        (0xDD, range(0xF0, 0x100)),
        (0xDE, (0xD8, *range(0xDA, 0xE0))),
        (0xDF, (*range(0xE1, 0xE8), *range(0xF8, 0x100))),
    ):
        for modrm in nothing:
            X87_REGISTER[opcode - 0xD8][<int> modrm - 0xC0] = 0


_fill()


cdef uint32_t prefixes_of(const uint8_t *code, uint32_t available) noexcept nogil:
    """How many of these bytes are prefixes."""
    cdef uint32_t i = 0
    while i < available and i < MOST_BYTES and ONE[code[i]].kind == PREFIX:
        i += 1
    return i


cdef int judge_instruction(const uint8_t *code, uint32_t available, bint code32, bint protected,
                           uint8_t *needs) noexcept nogil:
    """The Verdict on the instruction that begins at code. No more bytes are asked for than the instruction has.

    protected: protected mode, and not virtual-8086 mode. needs: bits of Needs. An instruction of
    more than 15 bytes is DEFINED here: the CPU raises #GP for its length.
    """
    cdef uint32_t i = 0
    cdef uint32_t repeat = 0
    cdef bint locked = False, small = False
    cdef uint8_t byte, modrm, bit
    cdef const Group *group
    needs[0] = 0
    while True:
        if i == MOST_BYTES:
            return DEFINED
        if i == available:
            return NEED_MORE
        byte = code[i]
        i += 1
        if ONE[byte].kind != PREFIX:
            break
        if byte == LOCK:
            locked = True
        elif byte == 0x66:
            small = True
        elif byte >= 0xF2:
            repeat = byte
    group = &ONE[byte]
    if group.kind == ESCAPE:
        if i == MOST_BYTES:
            return DEFINED
        if i == available:
            return NEED_MORE
        byte = code[i]
        i += 1
        group = &TWO[byte]
        if group.kind == NOTHING:
            return UNDEFINED
        if group.kind == PLAIN:
            if group.prefixes == NP and (repeat or small):
                return UNDEFINED
            if group.mmx:
                needs[0] = NEEDS_NO_ERROR       # EMMS
            return UNDEFINED if locked else DEFINED
    elif group.kind == PLAIN:
        if i == MOST_BYTES and HAS_IMMEDIATE[byte]:
            return DEFINED
        return UNDEFINED if locked else DEFINED
    elif group.kind == BREAKPOINT:
        return UNDEFINED if locked else ICEBP
    if i == MOST_BYTES:
        return DEFINED
    if i == available:
        return NEED_MORE
    modrm = code[i]
    bit = 1 << (modrm >> 3 & 7)
    if group.kind == X87:
        if locked:
            return UNDEFINED
        needs[0] = needs_of_x87(byte & 7, modrm)
        if modrm < 0xC0:
            return DEFINED if X87_MEMORY[byte & 7] & bit else UNDEFINED
        return DEFINED if X87_REGISTER[byte & 7][modrm & 0x3F] else UNDEFINED
    return judge_group(group, byte, modrm, bit, locked, small, repeat, code32, protected, needs)


cdef inline uint8_t needs_of_x87(uint8_t low, uint8_t modrm) noexcept nogil:
    """Of an instruction from D8 to DF, by the low three bits of its first byte. (SDM vol. 1, 8.3.11 and 8.3.12)"""
    cdef uint8_t reg = modrm >> 3 & 7
    if modrm < 0xC0:            # FNSTENV and FNSTCW, FNSAVE and FNSTSW
        return 0 if (low == 1 or low == 5) and reg >= 6 else NEEDS_NO_ERROR
    if (low == 3 and 0xE0 <= modrm <= 0xE4) or (low == 7 and modrm == 0xE0):    # FNCLEX, FNINIT, ...; FNSTSW
        return 0
    if (low == 2 or low == 3) and reg < 4:
        return NEEDS_NO_ERROR | NEEDS_TWO_REGISTERS
    return NEEDS_NO_ERROR


cdef inline int judge_group(const Group *group, uint8_t opcode, uint8_t modrm, uint8_t bit, bint locked, bint small,
                            uint32_t repeat, bint code32, bint protected, uint8_t *needs) noexcept nogil:
    cdef bint in_register = modrm >= 0xC0
    cdef uint32_t mandatory, allowed
    if not (group.register if in_register else group.memory) & bit:
        return UNDEFINED
    if locked and (in_register or not group.locked & bit):
        return UNDEFINED
    if group.protected and not protected:
        return UNDEFINED
    if group.prefixes == ANY_PREFIX:
        if group == &TWO[0x01] and in_register and modrm >> 3 & 7 == 4 and code32 != small:
            return SMSW_LONG
        return RESERVED_NOP if in_register and (group == &TWO[0x0D] or group == &TWO[0x18]) else DEFINED
    mandatory = PF3 if repeat == 0xF3 else PF2 if repeat else P66 if small else NP
    allowed = group.prefixes | (group.register_prefixes if in_register else group.memory_prefixes)
    if not allowed & mandatory:
        return UNDEFINED
    if group == &TWO[0x73] and mandatory == NP and bit & 0x88:
        return UNDEFINED
    if not in_register and group.aligned & mandatory:
        needs[0] |= NEEDS_ALIGNMENT
    if group.mmx & mandatory:
        needs[0] |= NEEDS_NO_ERROR
    if repeat and small:
        return BY_REP if repeat == 0xF3 else BY_REPNE
    return DEFINED


def judge(bytes code, bint code32=True, bint protected=True):
    """The Verdict on the instruction at the beginning of code."""
    cdef uint8_t needs
    return Verdict(judge_instruction(code, <uint32_t> len(code), code32, protected, &needs))


def must_be_aligned(bytes code):
    """Whether the memory operand of this instruction must lie at a multiple of 16 (#GP else)."""
    cdef uint8_t needs
    judge_instruction(code, <uint32_t> len(code), True, True, &needs)
    return needs & NEEDS_ALIGNMENT != 0


def waits_for_errors(bytes code):
    """Whether this instruction is #MF while an unmasked x87 exception is pending."""
    cdef uint8_t needs
    judge_instruction(code, <uint32_t> len(code), True, True, &needs)
    return needs & NEEDS_NO_ERROR != 0
