# SPDX-License-Identifier: GPL-2.0-or-later
"""Generated guest programs: sequences of port instructions and calls, and the state that they start from.

program() draws one from a Source: a seeded generator for mass runs, hypothesis for failures that shrink. Smaller
numbers draw simpler programs. encode() gives the record that guest/programs/lawguest.c reads.

Two rules keep programs within what two machines can agree on:
- Every byte of data has bit 6 set: memory, registers that are sent, what the devices give. So a byte sent to port 70h
  always selects plain CMOS RAM (40h to 7Fh), never the clock.
- A pointer leads into the areas for it, or to 40000000h and above, where nothing is mapped: never into the executor.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, Protocol, TypeVar

# Places and numbers of guest/programs/lawguest.c.
MAGIC: Final = 0x3157414C
BIG: Final = 0x10000
BIG_SIZE: Final = 80 * 4096
WINDOW: Final = 0x60000
CODE: Final = 0x72000
CODE_SIZE: Final = 0x2000
CALLS: Final = 0xF0000  # beyond what a string of any segment reaches: its jumps differ from machine to machine
CALL_MARK: Final = 0xCA110000  # in place of an EIP in a call
CODE_BYTES: Final = 240
CASE: Final = struct.Struct(f"<4B4H8H8I6H8s{CODE_BYTES}s")
BATCH: Final = struct.Struct("<3I")
DATA_BIG: Final = 0x6B
BASES: Final = {0x23: 0, 0x5B: WINDOW, 0x63: WINDOW - 5, DATA_BIG: BIG}  # by selector
V86_SEGMENTS: Final = (0x6000, 0x1000, 0x5FFF, 0x6001)
FULL_TSS: Final = 104 + 8192  # limit with the whole map and its last byte
REPAIR, WRITE_PROTECT, CMOS = 1, 2, 4

MASK: Final = 0xFFFFFFFF
BIT_6: Final = 0x40404040
CF_TO_OF: Final = 0x8D5
TF, DF, NT, AC, ID = 1 << 8, 1 << 10, 1 << 14, 1 << 18, 1 << 21
EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI = range(8)
ES, CS, SS, DS, FS, GS = range(6)
OVERRIDES: Final = {0x26: ES, 0x2E: CS, 0x36: SS, 0x3E: DS, 0x64: FS, 0x65: GS}
LOCK, OPERAND, ADDRESS, REPNE, REP = 0xF0, 0x66, 0x67, 0xF2, 0xF3
END: Final = b"\xcd\x81"
LONGEST: Final = 15

# Ports, each with the sizes to drive it with. Every one is something that qemu has, too, and that shows order and
# width. qemu gives all of a wide access to the owner of its first port, and answers one that is not aligned with 0
# where nobody is at home: so these stay inside one device, and such ports are not read.
Group = tuple[tuple[int, tuple[int, ...]], ...]
LOG_PORT: Final = 0x5E0
TEST_DEVICE_PORT: Final = 0x340
CMOS_INDEX: Final = 0x70
LOG: Final[Group] = tuple((LOG_PORT + i, (1,)) for i in range(4))  # debug consoles with one log
STREAM: Final[Group] = ((0x511, (1,)),)  # bytes that differ, one after the other
RAM: Final[Group] = (
    (0x71, (1,)),
    (CMOS_INDEX, (1, 2)),
    (CMOS_INDEX, (2,)),
)  # a word to 70h writes one byte of CMOS RAM
BYTES: Final[Group] = ((0x21, (1,)), (0xA1, (1,)), (0x3FF, (1,)))  # interrupt masks, the UART's scratch register
DIVISOR: Final[Group] = ((0x3F8, (1, 2)), (0x3F9, (1,)))  # of the UART, while DLAB is set
NOBODY: Final[Group] = (*((port, (1, 2, 4)) for port in (0x30, 0x1234, 0x9000, 0x7FFC, 0xFFFC)), (0xFFFE, (1, 2)))
ODD: Final[Group] = tuple(
    (port, (1, 2, 4)) for port in (0x7FFD, 0x7FFF, 0x8003, 0x9006, 0xFFFD, 0xFFFF)
)  # written only
SHARED: Final = ((LOG, 3), (STREAM, 3), (RAM, 2), (BYTES, 1), (DIVISOR, 2), (NOBODY, 2))
# With our own paths only: a device that takes all widths whole, and wide accesses that reach beyond a device.
TEST_DEVICE: Final[Group] = ((TEST_DEVICE_PORT, (1, 2, 4)), (TEST_DEVICE_PORT + 4, (4,)))
EDGES: Final[Group] = tuple(
    (port, (1, 2, 4)) for port in (*range(LOG_PORT, LOG_PORT + 4), 0x511, 0x3FF, 0xA1, 0xFFFD, 0xFFFF)
)
OURS: Final = ((TEST_DEVICE, 4), (EDGES, 3), (NOBODY, 1), (DIVISOR, 1))
# What may be posted and what is shadowed on `exitless`, with some that is neither.
DECLARED: Final = (
    (LOG, 4),
    (TEST_DEVICE, 4),
    (((CMOS_INDEX, (1,)), (0x71, (1,))), 2),
    (((0x3FF, (1,)), (0x21, (1,)), (0xA1, (1,))), 2),
    (NOBODY, 1),
)
HARMLESS: Final = ((LOG, 1), (NOBODY, 1))  # any byte may be sent there
PCI_ADDRESS: Final = 0xCF8
PCI_BITS: Final = 0x80FFFFFC

CALL_SHAPES: Final = (  # by VMI number from 49: size, string, out
    *((4, False, False), (1, False, False), (2, False, False)),
    *((4, True, False), (1, True, False), (2, True, False)),
    *((4, False, True), (1, False, True), (2, False, True)),
    *((4, True, True), (1, True, True), (2, True, True)),
)

CALLS_OF_A_GROUP: Final = 3

Ports = Sequence[tuple[Group, int]]
T = TypeVar("T")


class Mode(IntEnum):
    """What code runs as."""

    RING0 = 0
    RING1 = 1
    RING3 = 2
    RING0_16 = 3
    RING1_16 = 4
    RING3_16 = 5
    V86 = 6


MODES: Final = (Mode.RING0, *(m for m in Mode for _ in range(2)), Mode.RING3, Mode.V86)
RINGS: Final = {Mode.RING0: 0, Mode.RING1: 1, Mode.RING0_16: 0, Mode.RING1_16: 1}


class Source(Protocol):
    """Where a generator's choices come from."""

    def integer(self, low: int, high: int) -> int:
        """A number from low to high, both included."""


class RandomSource:
    """Choices from a seed."""

    def __init__(self, seed: int | str) -> None:
        self.integer = random.Random(seed).randint


@dataclass(frozen=True, slots=True)
class Instruction:
    """One of a program's instructions. locked: it has LOCK, and is not too long."""

    code: bytes
    locked: bool = False


@dataclass(slots=True)
class Program:
    """What one case runs, and from what state."""

    mode: Mode
    ports: Ports
    options: int = 0
    events: int = 24
    eflags: int = 0
    code_offset: int = 0x10
    tss_limit: int = FULL_TSS
    iomap_base: int = 104
    allowed: list[tuple[int, int]] = field(default_factory=list)
    registers: list[int] = field(default_factory=lambda: [BIT_6, 0, 0, 0, 0, 1, 0, 0])
    segments: list[int] = field(default_factory=lambda: [0x23, 0, 0, 0x23, 0x23, 0x23])
    pages: bytes = b"\x77" * 8
    body: list[Instruction] = field(default_factory=list)
    breakpoint: tuple[int, int] | None = None  # port and LEN of an I/O breakpoint
    looped: bool = False
    calls: bool = False

    @property
    def wide(self) -> bool:
        """Is it 32-bit code?"""
        return self.mode <= Mode.RING3

    def code(self, *, locks: bool = True) -> bytes:
        """Its bytes; without locks, UD2 stands where a LOCK makes an instruction invalid."""
        body = b"".join(b"\x0f\x0b" + part.code[2:] if part.locked and not locks else part.code for part in self.body)
        if self.looped:  # dec ebp; jnz body
            size = 4 if self.wide else 2
            body += b"\x4d\x0f\x85"
            body += (-(len(body) + size)).to_bytes(size, "little", signed=True)
        return body + END

    def encode(self, *, locks: bool = True) -> bytes:
        """The record for lawguest."""
        code = self.code(locks=locks)
        eax, ecx, edx, ebx, _, ebp, esi, edi = self.registers
        es, _, ss, ds, fs, gs = self.segments
        port, length = self.breakpoint or (0, -1)
        allowed = [*self.allowed, *[(0, 0)] * 4][:4]
        return CASE.pack(
            *(self.mode, self.options, len(code), self.events),
            *(self.code_offset, self.tss_limit, self.iomap_base, port),
            *(number for pair in allowed for number in pair),
            *(self.eflags, eax, ecx, edx, ebx, ebp, esi, edi),
            *(es, ds, fs, gs, ss, length + 1, self.pages, code),
        )

    def base(self, segment: int) -> int:
        """Linear address of offset 0 in a segment."""
        if self.mode == Mode.V86:
            return (CODE >> 4 if segment == CS else self.segments[segment]) << 4
        if segment == CS:
            return 0 if self.wide else CODE
        if segment == SS and self.mode != Mode.RING3_16:
            return 0
        return BASES[self.segments[segment]]


def encode_batch(programs: Sequence[Program], *, locks: bool = True) -> bytes:
    """Module 0 of lawguest."""
    return BATCH.pack(MAGIC, len(programs), CASE.size) + b"".join(p.encode(locks=locks) for p in programs)


def program(source: Source, ports: Ports = SHARED) -> Program:
    """Draw one program that drives these ports."""
    return Generator(source, ports).program()


def calling_program(source: Source, ports: Ports = DECLARED) -> Program:
    """Draw one that only calls, most often for one element: so that calls follow each other without a crossing."""
    return Generator(source, ports, only_calls=True).program()


class Generator:
    """The choices that lead to one program."""

    def __init__(self, source: Source, ports: Ports, *, only_calls: bool = False) -> None:
        self.source = source
        self.only_calls = only_calls
        self.made = Program(Mode.RING0, ports)
        self.used: list[int] = []
        self.calls = False
        self.computes = False  # it leaves arithmetic flags for later
        self.sends_code = False

    # Choices.

    def among(self, options: Sequence[T]) -> T:
        return options[self.source.integer(0, len(options) - 1)]

    def chance(self, percent: int) -> bool:
        return self.source.integer(0, 99) >= 100 - percent

    def word(self) -> int:
        return self.source.integer(0, MASK)

    def port(self, size: int, out: int, ports: Ports) -> tuple[int, Group]:
        """A port that is driven with this size, and where it belongs."""
        ports = (*ports, (ODD, 1)) if out else ports
        fitting = [
            (group, [port for port, sizes in group if size in sizes]) for group, weight in ports for _ in range(weight)
        ]
        group, found = self.among([(group, found) for group, found in fitting if found])
        return self.among(found), group

    def count(self, group: Group) -> int:
        kind = self.source.integer(0, 99)
        if kind < 55:
            return self.source.integer(1, 8)
        if kind < 62:
            return 0
        if kind < 85:
            return self.source.integer(9, 64)
        if kind < 98 or group not in (NOBODY, ODD, STREAM, TEST_DEVICE):
            return self.source.integer(65, 1000)
        return self.source.integer(4000, 70000)

    @property
    def within_limits(self) -> bool:
        """Virtual-8086 mode has segments of 64 KiB, and what we run beside qemu must stay in them."""
        return self.made.mode == Mode.V86 and self.ports_are_shared

    @property
    def ports_are_shared(self) -> bool:
        return self.made.ports is SHARED

    def within(self, index: int, count: int, size: int) -> int:
        """An index from which a string of one segment stays in it, whichever way and width it goes."""
        length = min(count, 1000) * size
        return min(max(index & 0xFFFF, length), 0xFFFF - length) & ~(size - 1)

    def pointer(self, segment: int, address_size: int, count: int, size: int) -> int:
        """An index register's value."""
        down = self.made.eflags & DF
        if count > 1000:
            target = BIG + (BIG_SIZE - size if down else 0) + self.source.integer(-2, 2)
        elif self.chance(5) and not self.within_limits:
            return 0x4000_0000 + (self.word() >> 2) if self.chance(50) else self.source.integer(MASK - 8, MASK)
        elif self.chance(60):
            target = WINDOW + self.source.integer(0, 9) * 4096 + self.source.integer(-9, 4)
        else:
            target = WINDOW + self.source.integer(0, 0xFFFF)
        index = target - self.made.base(segment)
        if self.within_limits:
            return self.within(index, count, size)
        if address_size == 4:
            return index & MASK
        if not 0 <= index <= 0xFFFF:
            index = self.among((0, 1, 2, 0xFFFF, 0xFFFE, 0xFFFD, 0x1000, 0xFFF, 0xFFE, self.source.integer(0, 0xFFFF)))
        return index | self.source.integer(0x4000, 0xBFFF) << 16

    # Code.

    def add(self, code: bytes, locked: bool = False) -> None:
        self.made.body.append(Instruction(code, locked))

    def move(self, register: int, value: int) -> None:
        """MOV r32, imm32."""
        self.add((b"" if self.made.wide else b"\x66") + bytes([0xB8 + register]) + (value & MASK).to_bytes(4, "little"))

    def data(self) -> None:
        self.move(EAX, self.word() | BIT_6)

    def filler(self) -> None:
        """Something that leaves arithmetic flags for later, or changes them or DF now."""
        kind = self.source.integer(0, 6)
        self.computes |= kind < 5
        if kind == 6:
            self.made.eflags ^= DF  # the pointers that follow reckon with it
            self.add(b"\xfd" if self.made.eflags & DF else b"\xfc")
        else:
            self.add(
                (b"\xf9", b"\xf5", b"\x29\xdb", b"\x43", b"\x83\xeb" + bytes([self.source.integer(0, 255)]), b"\x90")[
                    kind
                ]
            )

    def set_port(self, port: int) -> None:
        self.used.append(port)
        self.move(EDX, self.word() & 0xFFFF0000 | port)

    def prefixes(self, chosen: list[int]) -> tuple[bytes, bool]:
        """In any order, some of them more than once, seldom too many; is LOCK among them?"""
        if self.chance(10):
            chosen += [self.among((OPERAND, ADDRESS, *OVERRIDES)) for _ in range(self.source.integer(1, 3))]
        if self.chance(10) and chosen:
            chosen += [self.among(chosen) for _ in range(self.source.integer(1, 12))]
        if self.chance(2):
            chosen.append(LOCK)
        for at in range(len(chosen) - 1, 0, -1):
            other = self.source.integer(0, at)
            chosen[at], chosen[other] = chosen[other], chosen[at]
        return bytes(chosen), LOCK in chosen

    def plain(self) -> None:
        """IN or OUT."""
        odd, out = self.source.integer(0, 1), self.source.integer(0, 1)
        if out and self.chance(70):
            self.data()
        prefixes, locked = self.prefixes([self.among((OPERAND, ADDRESS, REP, REPNE))] if self.chance(40) else [])
        port, _ = self.port((4 if self.made.wide ^ (OPERAND in prefixes) else 2) if odd else 1, out, self.made.ports)
        opcode = 0xE4 | odd | out << 1
        if port < 0x100 and self.chance(60):
            self.used.append(port)
            code = prefixes + bytes([opcode, port])
        else:
            self.set_port(port)
            code = prefixes + bytes([opcode | 8])
        self.add(code, locked and len(code) <= LONGEST)

    def string(self) -> None:
        """INS or OUTS."""
        odd, out = self.source.integer(0, 1), self.source.integer(0, 1)
        chosen = [prefix for prefix, percent in ((OPERAND, 45), (ADDRESS, 25)) if self.chance(percent)]
        repeated = self.chance(75)
        if repeated:
            chosen.append(self.among((REP, REP, REPNE)))
        if self.chance(30):
            chosen.append(self.among(tuple(OVERRIDES)))
        prefixes, locked = self.prefixes(chosen)
        repeated = REP in prefixes or REPNE in prefixes
        address_size = 4 if self.made.wide ^ (ADDRESS in prefixes) else 2
        size = (4 if self.made.wide ^ (OPERAND in prefixes) else 2) if odd else 1
        segment = DS if out else ES
        for prefix in prefixes:
            segment = OVERRIDES.get(prefix, segment) if out else ES
        harmless = segment == CS and not self.made.wide  # what it sends may be the code itself
        self.sends_code |= bool(out and harmless)
        port, group = self.port(size, out, HARMLESS if harmless else self.made.ports)
        count = self.count(group) if repeated else 1
        if self.within_limits:
            count = min(count, 1000)
        self.set_port(port)
        if repeated:
            self.set_count(count, address_size)
        if self.chance(80) or address_size == 2 or not self.made.body or self.within_limits:
            self.move(ESI if out else EDI, self.pointer(segment, address_size, count, size))
        code = prefixes + bytes([0x6C | odd | out << 1])
        self.add(code, locked and len(code) <= LONGEST)

    def set_count(self, count: int, address_size: int) -> None:
        if address_size == 2:
            count = count & 0xFFFF | self.word() & 0xFFFF0000
        self.move(ECX, count)

    def call(self) -> None:
        """A call of the twelve. 32-bit code at CPL 0 or 1, where the instruction is allowed, too."""
        self.made.calls = True
        number = self.source.integer(0, len(CALL_SHAPES) - 1)
        if self.only_calls and CALL_SHAPES[number][1] and self.chance(75):
            number -= CALLS_OF_A_GROUP  # for one element
        size, string, out = CALL_SHAPES[number]
        port, group = self.port(size, out, self.made.ports)
        self.set_port(port)
        if string:
            count = self.count(group)
            self.move(ECX, count)
            self.move(ESI if out else EDI, self.pointer(DS if out else ES, 4, count, size))
        elif out:
            self.data()
        after = CODE + self.made.code_offset + sum(len(part.code) for part in self.made.body) + 5
        self.add(b"\xe8" + (CALLS + 16 * number - after & MASK).to_bytes(4, "little"))

    def pci(self) -> None:
        """The one register of 32 bits that two machines share: the PCI configuration address."""
        wide = b"" if self.made.wide else b"\x66"
        self.move(EDX, PCI_ADDRESS)
        self.used.append(PCI_ADDRESS)
        self.move(EAX, self.word() & PCI_BITS)
        self.add(wide + b"\xef")
        self.move(EAX, BIT_6)
        self.add(wide + b"\xed")
        self.data()

    # The whole.

    def program(self) -> Program:
        made = self.made
        made.mode = self.among((Mode.RING0, Mode.RING1) if self.only_calls else MODES)
        calls = self.calls = self.only_calls or (made.mode in (Mode.RING0, Mode.RING1) and self.chance(40))
        self.choose_flags(calls)
        self.choose_segments()
        self.choose_pages()
        made.code_offset = self.among((0x10, self.source.integer(0, 0xF00), 0x1000 - self.source.integer(1, 60)))
        made.registers = [self.word() for _ in range(8)]
        made.registers[EAX] |= BIT_6
        made.registers[ECX] = self.source.integer(0, 20)
        made.registers[EBP] = self.source.integer(1, 3)
        for register in (ESI, EDI):
            made.registers[register] = self.pointer(DS if register == ESI else ES, 4, 1, 1)
        flags = made.eflags
        self.choose_body(calls)
        made.eflags = flags
        made.looped = self.chance(30) and not any(self.large(part) for part in made.body)
        self.choose_permission()
        self.choose_breakpoint()
        if self.sends_code:  # qemu's has UD2 in place of LOCK
            made.body = [part for part in made.body if not part.locked] or [Instruction(b"\x90")]
        if any(port in (0x70, 0x71) for port in self.used):
            made.options |= CMOS
        return made

    def choose_breakpoint(self) -> None:
        """An I/O breakpoint; what qemu makes of it is in differences.py."""
        strings = any(part.code[-1] & 0xFC == 0x6C for part in self.made.body)
        beyond_qemu = strings or self.calls or self.computes or self.made.looped or self.made.eflags & TF
        if self.used and self.chance(25) and not (self.ports_are_shared and beyond_qemu):
            length = self.among((0, 1, 3))
            self.made.breakpoint = (self.among(self.used) & ~length, length)

    def large(self, part: Instruction) -> bool:
        """Does it set a count of thousands?"""
        return (
            part.code[-5:-4] == b"\xb9"
            and part.code[-3:] != b"\0\0\0"
            and int.from_bytes(part.code[-4:], "little") > 1000
        )

    def choose_flags(self, calls: bool) -> None:
        made = self.made
        made.eflags = self.source.integer(0, MASK) & CF_TO_OF
        for flag, percent in ((DF, 30), (ID, 10), (AC, 5), (NT, 5), (TF, 6)):
            if self.chance(percent):
                made.eflags |= flag
        ring = RINGS.get(made.mode, 3)
        lowest = ring if calls else 0
        made.eflags |= (3 if self.chance(50) else self.source.integer(lowest, 3)) << 12

    def choose_segments(self) -> None:
        choices: tuple[int, ...] = V86_SEGMENTS if self.made.mode == Mode.V86 else tuple(BASES)
        plain = self.chance(50) and self.made.wide
        self.made.segments = [0x23 if plain else self.among(choices) for _ in range(6)]

    def choose_pages(self) -> None:
        if self.chance(60):
            kinds = [self.among((7, 7, 7, 7, 5, 3, 0, 0, 1)) for _ in range(16)]
            self.made.pages = bytes(low | high << 4 for low, high in zip(kinds[::2], kinds[1::2], strict=True))
        self.made.options = sum(bit for bit, percent in ((REPAIR, 70), (WRITE_PROTECT, 40)) if self.chance(percent))

    def choose_body(self, calls: bool) -> None:
        makers = [self.plain, self.string, self.string]
        if calls:
            makers += [self.call, self.call, self.call]
        if self.only_calls:
            makers = [self.call]
        for _ in range(self.source.integer(1, 12 if self.only_calls else 7)):
            if sum(len(part.code) for part in self.made.body) > CODE_BYTES - 80:
                break
            if self.chance(30):
                self.filler()
            self.pci() if self.chance(4) else self.among(makers)()

    def choose_permission(self) -> None:
        made = self.made
        used = sorted(set(self.used))
        for port in used[:4]:
            if self.chance(90 if made.mode == Mode.V86 else 70):
                made.allowed.append((port, self.among((4, 4, 4, 2, 1))))
        if self.chance(15):
            port = self.among(used)
            made.tss_limit = self.among((103, 102, 104 + (port >> 3), 105 + (port >> 3), FULL_TSS - 1))
        if self.chance(10):
            made.iomap_base = self.among((103, 105, 0, 0xFFFF, 8000, made.tss_limit))
