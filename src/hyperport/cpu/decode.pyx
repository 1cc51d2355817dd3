# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""The decoder of the twelve port instructions: what the bytes at CS:EIP ask for, before anything is done.

    E4 ib  IN AL, ib     EC  IN AL, DX     6C  INSB      E6 ib  OUT ib, AL     EE  OUT DX, AL     6E  OUTSB
    E5 ib  IN eAX, ib    ED  IN eAX, DX    6D  INSW/D    E7 ib  OUT ib, eAX    EF  OUT DX, eAX    6F  OUTSW/D

None has a ModRM byte, so all the difficulty is in front of the opcode. An i386 takes any number of prefixes in any
order, each as often as one likes, and stops only at the fifteenth byte. A prefix is a statement about the
instruction and not a command to the decoder: the second 66h says what the first one said, it does not undo it.
What the statements come to for a port instruction:

66h  The other operand size: 16 bits in 32-bit code, 32 bits in 16-bit code. It has a meaning on odd opcodes only.
     Even opcodes move a byte and nothing makes them move more.
67h  The other address size. Only strings have an address: (E)SI or (E)DI, and with them the width of the count,
     CX or ECX. On IN and OUT it changes nothing; the port is DX, 16 bits, whatever the prefixes say.
F3h  REP, on strings only. IN and OUT ignore it and are done once.
F2h  REPNE means REP here. It differs from F3 in the flag that ends a comparison, and port strings compare nothing.
26h, 2Eh, 36h, 3Eh, 64h, 65h
     ES, CS, SS, DS, FS, GS in place of DS for the source of OUTS. These do contradict each other; the last one
     wins, wherever it stands among the other prefixes. INS stores to ES always: its override is read and has no effect.
F0h  LOCK. No port instruction may be locked, not even INS with its store: #UD, as soon as it stands anywhere.

An immediate port is one byte and zero-extended, so E4-E7 reach ports 0 to FFh. It is the last byte, and it counts:
fourteen prefixes and EC are a legal instruction of fifteen bytes, fourteen prefixes and E4 are one too long. Length
comes before LOCK, since the bytes have to be there before they can be judged, and it needs no sixteenth byte, so
an instruction that would run from its fifteenth byte into an absent page is too long and not a page fault.

The table has one entry per byte value: nothing, or a prefix and what it says, or an opcode and what it does. Every
first byte that is neither ends the search with DECODE_OTHER, so 40h-4Fh (REX elsewhere, INC and DEC here) and 0Fh
need no thought. Whether such an instruction is itself legal is for its own decoder to say.

Source: Intel SDM vol. 2, section 2.1.1 (prefixes) and the pages of IN, INS, OUT, OUTS and LOCK; vol. 3, the pages of
vectors 6 and 13 (length). F2 on port strings is reserved there; processors take it as F3.
"""

from dataclasses import dataclass

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memset

cdef enum:
    MAX_LENGTH = 15         # bytes of one instruction

    # a table entry: bits 7 and 6 say what the byte is, the others what it means
    OPCODE = 0x80
    PREFIX = 0x40

    # bits of an opcode
    OUT = 0x01              # to the port
    STRING = 0x02           # memory operand
    IMMEDIATE = 0x04        # the port follows
    WIDE = 0x08             # operand size 16 or 32, not 8

    # bits of a prefix, collected over all prefixes of an instruction
    OPERAND = 0x01
    ADDRESS = 0x02
    REPEAT = 0x04
    LOCK = 0x08
    SEGMENT = 0x20          # bits 2-0 are a segment's number, not bits to collect

    # segments by their number in encodings
    ES = 0
    CS = 1
    SS = 2
    DS = 3
    FS = 4
    GS = 5

cdef uint8_t[256] MEANING
memset(MEANING, 0, sizeof(MEANING))
for _byte, _meaning in (
    (0x26, PREFIX | SEGMENT | ES),
    (0x2E, PREFIX | SEGMENT | CS),
    (0x36, PREFIX | SEGMENT | SS),
    (0x3E, PREFIX | SEGMENT | DS),
    (0x64, PREFIX | SEGMENT | FS),
    (0x65, PREFIX | SEGMENT | GS),
    (0x66, PREFIX | OPERAND),
    (0x67, PREFIX | ADDRESS),
    (0xF0, PREFIX | LOCK),
    (0xF2, PREFIX | REPEAT),
    (0xF3, PREFIX | REPEAT),
    (0x6C, OPCODE | STRING),
    (0x6D, OPCODE | STRING | WIDE),
    (0x6E, OPCODE | STRING | OUT),
    (0x6F, OPCODE | STRING | OUT | WIDE),
    (0xE4, OPCODE | IMMEDIATE),
    (0xE5, OPCODE | IMMEDIATE | WIDE),
    (0xE6, OPCODE | IMMEDIATE | OUT),
    (0xE7, OPCODE | IMMEDIATE | OUT | WIDE),
    (0xEC, OPCODE),
    (0xED, OPCODE | WIDE),
    (0xEE, OPCODE | OUT),
    (0xEF, OPCODE | OUT | WIDE),
):
    MEANING[_byte] = _meaning


cdef int decode_port_instruction(const uint8_t *code, uint32_t available, bint code32,
                                 PortInstruction *out) noexcept nogil:
    """Decode the instruction in code[:available]; code32 is CS.D (0 in real and virtual-8086 mode).

    Its length, with out filled in, if it is one of the twelve; else a DECODE_ constant, and out is as it was.
    Reads no byte after the instruction and never more than 15.
    """
    cdef uint32_t prefixes = 0      # bits of all prefixes so far
    cdef uint32_t segment = DS
    cdef uint32_t opcode = 0
    cdef uint32_t at = 0            # of the byte in hand
    cdef uint32_t length
    while True:
        if at == MAX_LENGTH:
            return DECODE_TOO_LONG
        if at == available:
            return DECODE_MORE
        opcode = MEANING[code[at]]
        if not opcode & PREFIX:
            break
        if opcode & SEGMENT:
            segment = opcode & 7
        else:
            prefixes |= opcode
        at += 1
    if not opcode & OPCODE:
        return DECODE_OTHER
    length = at + 2 if opcode & IMMEDIATE else at + 1
    if length > MAX_LENGTH:
        return DECODE_TOO_LONG
    if length > available:
        return DECODE_MORE
    if prefixes & LOCK:
        return DECODE_INVALID

    if code32:
        prefixes ^= OPERAND | ADDRESS   # from "the other size" to "32 bits"
    out.length = length
    out.direction = opcode & OUT
    out.size = 1
    if opcode & WIDE:
        out.size = 4 if prefixes & OPERAND else 2
    out.string = 0
    out.address_size = 0
    out.rep = 0
    out.segment = 0
    if opcode & STRING:
        out.string = 1
        out.address_size = 4 if prefixes & ADDRESS else 2
        out.rep = prefixes & REPEAT != 0
        out.segment = segment if opcode & OUT else ES
    out.immediate = opcode & IMMEDIATE != 0
    out.port = code[at + 1] if opcode & IMMEDIATE else 0
    return length


@dataclass(frozen=True, slots=True)
class PortInstructionRecord:
    """What decode() found: the fields of PortInstruction, by the same names and in the same units."""

    length: int
    direction: int
    string: bool
    size: int
    address_size: int
    rep: bool
    segment: int
    immediate: bool
    port: int


def decode(bytes code not None, bint code32):
    """Decode the port instruction that code starts with, or None if it is another, illegal or incomplete.

    code32 is CS.D: 32-bit operands and addresses by default.
    """
    cdef PortInstruction found
    if decode_port_instruction(code, min(len(code), MAX_LENGTH), code32, &found) <= 0:
        return None
    return PortInstructionRecord(
        found.length, found.direction, found.string != 0, found.size, found.address_size, found.rep != 0, found.segment,
        found.immediate != 0, found.port,
    )


def decode_result(bytes code not None, bint code32):
    """Length in bytes (1 to 15) of the port instruction that code starts with, or the DECODE_ constant that says why not."""
    cdef PortInstruction found
    return decode_port_instruction(code, min(len(code), MAX_LENGTH), code32, &found)
