# SPDX-License-Identifier: GPL-2.0-or-later
"""The twelve calls by any convention, as code that leaves what the instruction leaves: made from a convention's table.

A program calls by the registers of the instruction. A stub keeps all of them in a page of its own (SAVED), loads those
that the convention wants, makes the call, and puts everything back but what the instruction changes. Where a string is
left to count (not as_native) it moves index and count by what was done; what could not be done is tried by the
instruction, once, so that its page fault comes from the right place with the right registers. Until then nothing
touches the flags, and the stack is as the caller left it.

encode_stubs() gives module 1 of guest/programs/lawguest.c.
"""

from __future__ import annotations

import struct
from typing import Final

from hyperport.abi.convention import Convention, Entry
from hyperport.abi.numbers import PORT_CALLS, VmiCall
from hyperport.cpu.state import REGISTERS

from .programs import CALLS, DF, EAX, ECX, EDI, EDX, ESI, ESP

# Places and numbers of guest/programs/lawguest.c.
STUBS_MAGIC: Final = 0x3153414C
STUBS: Final = CALLS + 0x100
STUB_BYTES: Final = 0x140
SAVED: Final = CALLS + 0x1000  # seven registers by their numbers, then what follows; lawguest writes the bases
BASE_ES, BASE_DS, LINEAR, RESULT, FLAGS = (SAVED + 32 + 4 * place for place in range(5))
DIRECT_MAP: Final = 0x2000_0000
HEAD: Final = struct.Struct("<2I")
# Where a call faults, what is shown there, bytes pushed, length, code.
STUB: Final = struct.Struct(f"<I8sHH{STUB_BYTES}s")
AS_SAVED: Final = 0xFF  # else a register's number

SS, WORD = b"\x36", b"\x66"  # prefixes
PUSHF, POPF, RET = b"\x9c", b"\x9d", b"\xc3"
KEPT: Final = tuple(register for register in range(8) if register != ESP)


def memory(opcode: bytes, register: int, address: int) -> bytes:
    """An instruction with a register, or /register, and SS:address."""
    return SS + opcode + bytes([register << 3 | 5]) + struct.pack("<I", address)


def load(register: int, address: int) -> bytes:
    return memory(b"\x8b", register, address)


def store(register: int, address: int) -> bytes:
    return memory(b"\x89", register, address)


def saved(register: int) -> int:
    return SAVED + 4 * register


def relative(opcode: int, target: int, at: int) -> bytes:
    """CALL or JMP to target, from at."""
    return struct.pack("<BI", opcode, target - (at + 5) & 0xFFFFFFFF)


class Stub:
    """One call by one convention."""

    def __init__(self, convention: Convention, call: VmiCall, place: int) -> None:
        assert call.port is not None
        self.convention, self.port = convention, call.port
        self.start = STUBS + place * STUB_BYTES
        self.code = b""
        self.pushed = 0
        self.number = next(number for number, known in convention.ports.items() if known.number == call.number)
        self.index = ESI if self.port.direction else EDI
        names = convention.registers
        self.where = {
            EDX: self.register(names.port),
            EAX: self.register(names.value),
            ECX: self.register(names.count),
            self.index: self.register(names.source if self.port.direction else names.destination),
        }
        self.result = self.register(names.result)
        self.fault_at = 0
        self.shown = bytes(range(8))
        self.make()

    @staticmethod
    def register(name: str) -> int:
        return REGISTERS.index(name)

    def add(self, *parts: bytes) -> None:
        self.code += b"".join(parts)

    def make(self) -> None:
        self.add(*(store(register, saved(register)) for register in KEPT))
        counted = self.port.string and not self.convention.as_native
        if counted:  # addresses are linear
            base = BASE_DS if self.port.direction else BASE_ES
            self.add(load(EAX, base), bytes([0x8D, 0x04, self.index << 3 | EAX]), store(EAX, LINEAR))
        self.load_operands(counted)
        self.make_call()
        if self.port.string:
            self.end_counted() if counted else self.end_native_string()
        else:
            self.add(store(self.result, RESULT), *(load(register, saved(register)) for register in KEPT))
            if not self.port.direction:
                self.add(self.load_result())
            self.add(RET)
        assert len(self.code) <= STUB_BYTES

    def load_operands(self, counted: bool) -> None:
        if self.convention.as_native and not self.port.direction:
            self.add(load(self.result, saved(EAX)))  # an IN leaves what is not its bytes
        operands = [EDX, ECX, self.index] if self.port.string else [EDX, EAX] if self.port.direction else [EDX]
        for operand in operands:
            source = LINEAR if counted and operand == self.index else saved(operand)
            self.add(load(self.where[operand], source))
        if self.convention.kind != Entry.DOORBELL:
            self.add(struct.pack("<BI", 0xB8 + self.register(self.convention.number), self.number))

    def make_call(self) -> None:
        """The call; where it faults, the instruction would show these registers."""
        shown = bytearray([AS_SAVED] * 8)
        for operand in (ECX, self.index):
            shown[operand] = self.where[operand]
        if self.convention.kind == Entry.DOORBELL:
            assert self.convention.image is not None
            image = self.convention.image(None)
            offset = next(at for at, number in image.doorbells.items() if number == self.number)
            self.fault_at, self.pushed = DIRECT_MAP + image.base + offset, 4
            self.add(relative(0xE8, self.fault_at, self.start + len(self.code)))
        else:
            self.fault_at = self.start + len(self.code)
            self.add(self.convention.instructions[0])
        self.shown = bytes(shown)

    def load_result(self) -> bytes:
        """MOV AL, AX or EAX, SS:RESULT."""
        whole = self.port.size == 4 or (self.convention.as_native and self.result != self.where[EDX])
        if whole:
            return load(EAX, RESULT)
        return memory(b"\x8a" if self.port.size == 1 else WORD + b"\x8b", EAX, RESULT)

    def end_native_string(self) -> None:
        self.add(store(self.where[ECX], RESULT), store(self.where[self.index], LINEAR))
        self.add(*(load(register, saved(register)) for register in KEPT))
        self.add(load(ECX, RESULT), load(self.index, LINEAR), RET)

    def end_counted(self) -> None:
        self.add(store(self.result, RESULT), *(load(register, saved(register)) for register in KEPT))
        self.add(PUSHF, memory(b"\x8f", 0, FLAGS), load(EAX, RESULT))
        self.add(b"\x29\xc1", bytes([0xC1, 0xE1, self.port.size.bit_length() - 1]))  # sub ecx, eax; shl ecx, n
        self.add(memory(b"\xf7", 0, FLAGS), struct.pack("<I", DF), b"\x74\x02\xf7\xd9")  # test, jz .+2, neg ecx
        self.add(bytes([0x01, 0xC0 | ECX << 3 | self.index]), b"\x89\xc1")  # add index, ecx; mov ecx, eax
        self.add(load(EAX, saved(EAX)), memory(b"\xff", 6, FLAGS), POPF)
        element = (WORD if self.port.size == 2 else b"") + bytes(
            [0x6C | (self.port.size > 1) | (self.port.direction << 1)]
        )
        rest = element + b"\x8d\x49\xff"  # the instruction, once; lea ecx, [ecx - 1]
        self.add(b"\xe3", bytes([len(rest) + 2 + 5]), rest, b"\xe3\x05")  # jecxz to the RET, twice
        self.add(relative(0xE9, self.start, self.start + len(self.code)), RET)

    def encode(self) -> bytes:
        return STUB.pack(self.fault_at, self.shown, self.pushed, len(self.code), self.code)


def encode_stubs(convention: Convention) -> bytes:
    """Module 1 of lawguest."""
    stubs = [Stub(convention, call, place) for place, call in enumerate(PORT_CALLS)]
    return HEAD.pack(STUBS_MAGIC, convention.highest_cpl) + b"".join(stub.encode() for stub in stubs)
