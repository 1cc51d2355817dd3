# SPDX-License-Identifier: GPL-2.0-or-later
"""What a hostile guest may be: program N of a seed, the same on each call.

A program is code, a processor mode and the tables that go with it, registers and some RAM. Each part is drawn for
itself and each may be spoilt: tables with random bytes in them, page tables in the hole, above RAM or in the code, a
stack pointer that points nowhere. Handlers step over what faults, one byte at a time, so most programs get far.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from hyperport.cpu.state import (
    CODE_16,
    CODE_32,
    CR0_ET,
    CR0_PE,
    DATA_16,
    DATA_32,
    REGISTERS,
    CpuState,
    FpuState,
    Segment,
    Table,
    real_mode,
)

RAM: Final = 4 << 20
GROUP: Final = 32  # programs that run on one machine, one after the other
GDT, IDT, LDT, TSS, OTHER_TSS = 0x1000, 0x2000, 0x3000, 0x3800, 0x3C00
HANDLERS, KERNEL_STACK = 0x5000, 0x8000
CODE, DATA, STACK, PAGES = 0x10000, 0x20000, 0x2F000, 0x100000
HOLE, TOP = 0xA0000, 0xFFFFF000

# Selectors of the GDT that is not spoilt.
KERNEL_CODE, KERNEL_DATA, USER_CODE, USER_DATA, CODE16, DATA16, THE_TSS, THE_LDT, NEXT_TSS, GATE, TASK_GATE = range(
    8, 96, 8
)
WITH_ERROR_CODE: Final = (8, 10, 11, 12, 13, 14, 17)

CR0_WP, CR0_AM, CR0_PG = 1 << 16, 1 << 18, 1 << 31
CR4_BITS: Final = {"pse": 1 << 4, "pae": 1 << 5, "pge": 1 << 7, "sse": 3 << 9, "tsd": 1 << 2, "de": 1 << 3}
EFLAGS_TF, EFLAGS_IF, EFLAGS_IOPL, EFLAGS_NT, EFLAGS_RF, EFLAGS_VM = 1 << 8, 1 << 9, 3 << 12, 1 << 14, 1 << 16, 1 << 17
NUMBERS: Final = (
    0, 1, 2, 3, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFE,
    0xA0000, 0xFFFFF, 0x100000, 0x3FFFFF, 0x400000, 0xFFFFFFF0, 0xFEE00000, CODE, DATA, STACK, PAGES, GDT, IDT, TSS,
)  # fmt: skip
PREFIXES: Final = b"\x66\x67\xf0\xf2\xf3\x26\x2e\x36\x3e\x64\x65"
END: Final = b"\xb0\x01\xe6\xf4\xf4\xeb\xfd"  # mov al, 1; out 0xf4, al; hlt; jmp to hlt

Random = random.Random


@dataclass(slots=True)
class Program:
    """memory: what to write where, before state is loaded. a20: whether address line 20 passes."""

    title: str
    state: CpuState
    memory: list[tuple[int, bytes]] = field(default_factory=list)
    a20: bool = True


def number(rng: Random) -> int:
    """A register's value: a special one, one near it, or any."""
    kind = rng.randrange(4)
    if kind == 0:
        return rng.getrandbits(32)
    return (rng.choice(NUMBERS) + (rng.randint(-16, 16) if kind == 1 else 0)) & 0xFFFFFFFF


# Code.


def encoding(rng: Random) -> bytes:
    """An opcode of any map, with prefixes and operand bytes at will; it need not be valid."""
    prefixes = bytes(rng.choice(PREFIXES) for _ in range(rng.choice((0, 0, 0, 1, 1, 2, 3, 14))))
    escape = rng.choice((b"", b"", b"\x0f", b"\x0f", b"\x0f\x38", b"\x0f\x3a"))
    opcode = rng.choice((rng.randrange(256), rng.randrange(256), rng.randrange(0xD8, 0xE0)))
    operands = bytes([rng.randrange(256)]) + rng.randbytes(rng.choice((0, 1, 2, 4, 5, 6)))
    return prefixes + escape + bytes([opcode]) + operands


# What compilers and kernels write: x87, SSE, integer, string, stack, far and system instructions.
_ORDINARY: Final = """
    d9e8 ddd8 d8c1 d8c9 d8e1 d8f1 dec9 def9 d9c9 d9fa d9fe d9fb d9f3 d9f1 d9f8 d9f5 d9fd dfe0 9bdbe3 dbe2 d9ee d9d0
    0f28c1 0f58c1 0f59d1 0f5ec8 0fc6c01b 660f70c01b f20f58c1 f30f5ac1 0f2ec1 660f6fc1 660fefc0 660fd4c1 0f77 0f12c1
    d40a d50a d400 27 2f 37 3f 98 99 f6f1 f7f1 f6f9 f7f9 66f7f9 66f7f1 f7e1 0fafc1 0fc8 0fa3c1 0fbcc1 0fbdc1 0fa5c1
    a4 a5 aa ab ac ae a6 a7 f3a4 f3a5 f3aa f3ab f2ae f3a6 6c 6d 6e 6f f36c f36e ec ee ed ef f36d f36f 60 61 9c 9d
    c80000ff c8040002 c9 50 58 1e 1f 06 07 16 17 0fa0 0fa1 ce cc f1 cf cb c3 cd20 cd80 cd03 f4 fa fb fc fd 9b 90
    0f20c0 0f22c0 0f20d8 0f22d8 0f20e0 0f22e0 0f21c0 0f23c0 0f23f8 0f23f0 0f01d0 0f010b 0f0113 0f0103 0f00d0 0f00d8
    0f00c8 0f02c1 0f03c1 0f00e0 0f00e8 0f013b 0f08 0f09 0f06 0f30 0f32 0f31 0f33 0fa2 0f34 0f35 0f0b 0fae03 0fae0b
    8ed8 8ed0 8ec0 8ee0 8ee8 8ed1 8cd8 0fb203 c403 c503 ff1b ff2b ff13 ff23 ffd3 ffe3 d7 e000 e200 e300 f0ff03
    f00fc10b f00fb10b 0fc70b f00fc70b 870b d2e0 d3e0 d3f8 c1e01f 0fabc1 8d03 0fae10 0fae18 0faef0 0f18c0
"""
ORDINARY: Final = tuple(map(bytes.fromhex, _ORDINARY.split()))


def copies(rng: Random) -> bytes:
    """One to 2,000 of one, two or three instructions."""
    chosen = [rng.choice(ORDINARY) if rng.random() < 0.4 else encoding(rng) for _ in range(rng.choice((1, 1, 1, 2, 3)))]
    return b"".join(chosen) * int(2000 ** rng.random())


def random_bytes(rng: Random) -> bytes:
    """Anything."""
    return rng.randbytes(rng.choice((16, 64, 500, 5000)))


def instructions(rng: Random) -> bytes:
    """Instructions that mostly are some."""
    return b"".join(rng.choice(ORDINARY) if rng.random() < 0.7 else encoding(rng) for _ in range(rng.randint(1, 400)))


def load(register: int, value: int, *, wide: bool) -> bytes:
    """MOV r32, imm32, in code of either size."""
    return (b"" if wide else b"\x66") + bytes([0xB8 + register]) + struct.pack("<I", value & 0xFFFFFFFF)


def system(rng: Random, *, wide: bool = True) -> bytes:
    """Registers loaded with telling values, then instructions that put them to use."""
    parts = []
    for _ in range(rng.randint(5, 120)):
        for _ in range(rng.randrange(3)):
            parts.append(load(rng.choice((0, 1, 2, 3, 5, 6, 7, 0, 1, 4)), number(rng), wide=wide))
        kind = rng.randrange(8)
        if kind == 0:  # MOV CR0, CR3 or CR4 from a plausible value
            register = rng.choice((0, 3, 3, 4))
            parts.append(load(0, control(rng, register), wide=wide) + bytes([0x0F, 0x22, 0xC0 | register << 3]))
        elif kind == 1:  # far jump or call
            selector = rng.choice((rng.randrange(0, 104), rng.getrandbits(16)))
            far = struct.pack(
                "<IH" if wide else "<HH", CODE + rng.randrange(64) if wide else rng.randrange(64), selector
            )
            parts.append(rng.choice((b"\x9a", b"\xea")) + far)
        elif kind == 2:
            parts.append(b"\xcd" + bytes([rng.randrange(256)]))
        elif kind == 3:  # push a frame and return with it
            frame = [
                rng.choice((CODE + 16, 0x202, 0x23202, 0x4002, USER_CODE | 3, KERNEL_CODE, number(rng)))
                for _ in range(9)
            ]
            parts.append(
                b"".join(
                    b"\x68" + struct.pack("<I" if wide else "<H", v & (0xFFFFFFFF if wide else 0xFFFF)) for v in frame
                )
            )
            parts.append(rng.choice((b"\xcf", b"\xcb", b"\xca\x08\x00", b"\x9d", b"\xc2\x10\x00")))
        elif kind == 4:
            parts.append(
                load(
                    1,
                    rng.choice((0x10, 0x1B, 0x174, 0x175, 0x176, 0x277, 0xC0000080, 0x200, 0x400, 0x417, number(rng))),
                    wide=wide,
                )
            )
            parts.append(rng.choice((b"\x0f\x30", b"\x0f\x32")))
        elif kind == 5:
            parts.append(encoding(rng))
        else:
            parts.append(rng.choice(ORDINARY))
    return b"".join(parts)


def control(rng: Random, register: int) -> int:
    """A value for CR0, CR3 or CR4."""
    if register == 3:
        return rng.choice(ODD_FRAMES) | rng.choice((0, 0, 0x18, 0x20, 0x60, 0xFFF))
    if register == 4:
        return sum(bit for bit in CR4_BITS.values() if rng.random() < 0.4)
    bits = (CR0_PE, 2, 4, 8, CR0_ET, 32, CR0_WP, CR0_AM, 1 << 29, 1 << 30, CR0_PG)
    return CR0_PE * (rng.random() < 0.8) | sum(bit for bit in bits if rng.random() < 0.3)


def self_modifying(rng: Random, *, wide: bool = True) -> bytes:
    """Code that stores into itself, before and behind where it runs."""
    parts = []
    size = 600
    for _ in range(rng.randint(3, 60)):
        target = CODE + rng.randrange(size) if wide else rng.randrange(size)
        kind = rng.randrange(6)
        if kind == 0:  # mov byte [target], imm
            parts.append(b"\xc6\x05" + struct.pack("<IB", target, rng.randrange(256)) if wide
                         else b"\x2e\xc6\x06" + struct.pack("<HB", target, rng.randrange(256)))  # fmt: skip
        elif kind == 1:  # inc byte [target]
            parts.append(
                b"\xfe\x05" + struct.pack("<I", target) if wide else b"\x2e\xfe\x06" + struct.pack("<H", target)
            )
        elif kind == 2:  # rep stosb or movsb over it
            parts += [
                load(7, target, wide=wide),
                load(1, rng.randrange(64), wide=wide),
                load(0, number(rng), wide=wide),
            ]
            parts.append(rng.choice((b"\xf3\xaa", b"\xf3\xa4", b"\xf3\xab", b"\xf3\x6c")))
        elif kind == 3:  # mov [target], eax; jmp short $+2
            parts.append((b"\xa3" + struct.pack("<I" if wide else "<H", target)) + b"\xeb\x00")
        elif kind == 4:
            parts.append(bytes([0x70 + rng.randrange(16), rng.randrange(256)]))
        else:
            parts.append(rng.choice(ORDINARY))
    return b"".join(parts).ljust(size, b"\x90")


# Tables.


def segment_descriptor(base: int, limit: int, attributes: int) -> bytes:
    """SDM vol. 3, 3.4.5; attributes are bits 8 to 23 of the second doubleword, with the limit's upper bits 0."""
    if attributes & 1 << 23:
        limit >>= 12
    high = base & 0xFF000000 | attributes & 0xF0FF00 | limit & 0xF0000 | base >> 16 & 0xFF
    return struct.pack("<II", (base & 0xFFFF) << 16 | limit & 0xFFFF, high)


def descriptors(code_base: int) -> bytes:
    """The GDT, null descriptor first."""
    user, busy_tss, present = 3 << 13, 0x8B00, 1 << 15
    rows = (
        (code_base, 0xFFFFFFFF, CODE_32), (0, 0xFFFFFFFF, DATA_32),
        (code_base, 0xFFFFFFFF, CODE_32 | user), (0, 0xFFFFFFFF, DATA_32 | user),
        (CODE, 0xFFFF, CODE_16), (0, 0xFFFF, DATA_16),
        (TSS, 0x3FF, busy_tss), (LDT, 0x7F, present | 2 << 8), (OTHER_TSS, 0x67, 0x8900 | user),
    )  # fmt: skip
    call_gate = struct.pack("<HHHH", HANDLERS, KERNEL_CODE, 0xEC00, 0)
    task_gate = struct.pack("<HHHH", 0, NEXT_TSS, 0xE500, 0)
    return bytes(8) + b"".join(segment_descriptor(*row) for row in rows) + call_gate + task_gate


def spoil(rng: Random, table: bytes, chance: float) -> bytes:
    """A copy with random bytes in it, with this chance; else as it is."""
    if rng.random() >= chance:
        return table
    spoilt = bytearray(table)
    for _ in range(rng.randint(1, 1 + len(table) // 8)):
        spoilt[rng.randrange(len(spoilt))] = rng.choice((rng.randrange(256), 0, 0xFF))
    return bytes(spoilt)


def task_state(esp0: int, cr3: int) -> bytes:
    """A 32-bit TSS whose I/O map allows all ports."""
    registers = [CODE, 0x202, *[0] * 4, STACK, *[0] * 3]
    segments = [KERNEL_DATA, KERNEL_CODE, KERNEL_DATA, KERNEL_DATA, 0, 0, THE_LDT]
    fields = [0, esp0, KERNEL_DATA, *[0] * 4, cr3, *registers, *segments]
    return struct.pack("<25I", *fields[:25]).ljust(0x66, b"\0") + struct.pack("<H", 0x68)


def protected_tables(rng: Random, code_base: int, cr3: int) -> list[tuple[int, bytes]]:
    """GDT, LDT, IDT, TSS and handlers; in some programs spoilt."""
    chance = rng.choice((0.0, 0.1, 0.5))
    gates = bytearray()
    handlers = bytearray()
    for vector in range(256):
        kind = (
            rng.choice((0xEE00, 0xEE00, 0xEF00, 0x8E00))
            if rng.random() < 0.97
            else rng.choice((0xE500, 0xE600, 0, 0x0E00))
        )
        selector = NEXT_TSS if kind == 0xE500 else KERNEL_CODE
        at = HANDLERS + 16 * min(vector, 32)
        gates += struct.pack("<HHHH", (at - code_base) & 0xFFFF, selector, kind, (at - code_base) >> 16 & 0xFFFF)
    for vector in range(33):
        drop = b"\x83\xc4\x04" if vector in WITH_ERROR_CODE else b""  # add esp, 4
        step = b"\xff\x04\x24" if vector < 32 else b""  # inc dword [esp]
        handlers += (drop + step + b"\xcf").ljust(16, b"\x90")
    return [
        (GDT, spoil(rng, descriptors(code_base), chance)),
        (IDT, spoil(rng, bytes(gates), chance / 2)),
        (LDT, spoil(rng, descriptors(code_base), chance)),
        (TSS, spoil(rng, task_state(KERNEL_STACK, cr3), chance / 2).ljust(0x400, b"\0")),
        (OTHER_TSS, spoil(rng, task_state(KERNEL_STACK - 0x800, cr3), chance)),
        (HANDLERS, bytes(handlers)),
    ]


ODD_FRAMES: Final = (PAGES, PAGES, CODE, DATA, HOLE, 0xFF000, RAM - 0x1000, RAM, 0xFEE00000, TOP, 0, IDT & ~0xFFF)


def page_tables(rng: Random, kind: str) -> tuple[list[tuple[int, bytes]], int, int]:
    """Memory, CR3 and CR4 of a linear space whose first 4 MiB are RAM; some entries, or all tables, in odd places."""
    odd = rng.random() < 0.4
    flags = 7 | rng.choice((0, 0x100, 0x20, 0x60))
    wide = kind == "pae"
    size, width = (512, "Q") if wide else (1024, "I")
    table = PAGES + 0x4000
    entries = [page << 12 | flags for page in range(1024)]
    for _ in range(rng.choice((0, 0, 5, 200))):  # absent, read-only, supervisor, elsewhere, with reserved bits
        wrong = rng.choice((0, 5, 3, 1, rng.choice(ODD_FRAMES) | 7, rng.getrandbits(32)))
        entries[rng.randrange(1024)] = wrong | (rng.getrandbits(32) << 32 if wide and rng.random() < 0.3 else 0)
    if kind == "pse":
        directory = [0x83 | big << 22 for big in range(1024)]
        directory[0] = rng.choice((0x87, table | 7))
    elif wide:
        directory = [table | 7, table + 0x1000 | 7, *[0x87 | big << 21 for big in range(2, 512)]]
    else:
        directory = [table | 7, *rng.choices((0, table | 7, PAGES | 7), k=1023)]
    for _ in range(rng.choice((0, 0, 3, 100))):
        directory[rng.randrange(size)] = rng.choice((0, rng.choice(ODD_FRAMES) | 7, rng.getrandbits(32), PAGES | 0x67))
    memory = [
        (table, struct.pack(f"<1024{width}", *(e & (2**64 - 1 if wide else 2**32 - 1) for e in entries))),
        (PAGES, struct.pack(f"<{size}{width}", *directory)),
    ]
    cr3 = PAGES
    if wide:
        cr3 = PAGES + 0x3000
        memory.append((cr3, struct.pack("<4Q", *[PAGES | 1, *rng.choices((0, PAGES | 1, HOLE | 1, RAM | 1), k=3)])))
    cr4 = {"two levels": 0, "pse": CR4_BITS["pse"], "pae": CR4_BITS["pae"]}[kind]
    return memory, rng.choice(ODD_FRAMES) if odd and rng.random() < 0.3 else cr3, cr4


# Modes.


def fill_registers(rng: Random, state: CpuState) -> None:
    """Registers and FPU; the stack pointer is good more often than not."""
    esp = state.esp
    for name in REGISTERS:
        setattr(state, name, number(rng))
    if rng.random() < 0.8:
        state.esp = esp
    if rng.random() < 0.3:
        state.fpu = FpuState(
            control=rng.choice((0x37F, 0x300, 0xFFFF, 0)),
            status=rng.getrandbits(16),
            in_use=rng.getrandbits(8),
            stack=tuple(rng.choice((bytes(10), b"\xff" * 10, rng.randbytes(10))) for _ in range(8)),
            mxcsr=rng.choice((0x1F80, 0, 0xFFFF)),
            xmm=tuple(rng.randbytes(16) for _ in range(8)),
        )


def flags(rng: Random) -> int:
    """EFLAGS with what changes how code runs."""
    bits = ((EFLAGS_IF, 0.4), (EFLAGS_TF, 0.05), (EFLAGS_NT, 0.05), (EFLAGS_RF, 0.05), (1 << 18, 0.1), (1 << 10, 0.2))
    return 2 | rng.choice((0, EFLAGS_IOPL)) | sum(bit for bit, chance in bits if rng.random() < chance)


def real(rng: Random) -> tuple[CpuState, list[tuple[int, bytes]], int]:
    """Real mode; handlers step over what faults. Segments may reach over 1 MiB, and CS:IP wrap."""
    state = real_mode(cs=CODE >> 4, ip=0, data=rng.choice((0, CODE >> 4, DATA >> 4, 0xFFFF, 0xA000)), sp=0xF000)
    state.ss = Segment(0x2000, 0x20000)
    handler = bytes.fromhex("5589e5ff46025dcf")  # push bp; mov bp, sp; inc word [bp+2]; pop bp; iret
    vectors = struct.pack("<HH", HANDLERS, 0) * 256
    return state, [(HANDLERS, handler), (0, spoil(rng, vectors, 0.3))], CODE


def protected(
    rng: Random, *, ring: int, paging: str | None, wide: bool, v86: bool
) -> tuple[CpuState, list[tuple[int, bytes]], int]:
    """Protected mode, 32 or 16 bits, a segment base that may wrap, any ring, paging, virtual-8086."""
    code_base = rng.choice((0, 0, 0, 0xFFFF0000, 0x1000)) if wide and not v86 else 0
    memory, cr3, cr4 = page_tables(rng, paging) if paging else ([], 0, 0)
    memory += protected_tables(rng, code_base, cr3)
    state = CpuState(cr0=CR0_ET | CR0_PE | (CR0_PG if paging else 0) | (CR0_WP if rng.random() < 0.5 else 0))
    state.cr3, state.cr4 = cr3, cr4 | rng.choice((0, CR4_BITS["sse"], CR4_BITS["sse"]))
    dpl = ring << 13
    if v86:
        state.cs = Segment(CODE >> 4, CODE, 0xFFFF, 0xF300)
        data = Segment(DATA >> 4, DATA, 0xFFFF, 0xF300)
        state.eip = 0
    elif wide:
        state.cs = Segment(8 + 16 * (ring == 3) | ring, code_base, 0xFFFFFFFF, CODE_32 | dpl)
        data = Segment(16 + 16 * (ring == 3) | ring, 0, 0xFFFFFFFF, DATA_32 | dpl)
        state.eip = (CODE - code_base) & 0xFFFFFFFF
    else:
        state.cs, data = (
            Segment(CODE16 | ring, CODE, 0xFFFF, CODE_16 | dpl),
            Segment(DATA16 | ring, 0, 0xFFFF, DATA_16 | dpl),
        )
        state.eip = 0
    state.ss = state.ds = state.es = state.fs = state.gs = data
    state.esp = STACK if wide and not v86 else 0xF000
    state.gdtr = Table(GDT, rng.choice((95, 95, 0xFFFF)))
    state.idtr = Table(IDT, rng.choice((0x7FF, 0x7FF, 0x7FF, 0x40)))
    state.ldtr = Segment(THE_LDT, LDT, 0x7F, 0x8200)
    limit, attributes = rng.choice(((0x3FF, 0x8B00),) * 6 + ((0x67, 0x8B00), (3, 0x8B00), (0x3FF, 0x8300), (0, 0)))
    state.tr = Segment(THE_TSS, TSS, limit, attributes)
    state.eflags = EFLAGS_VM if v86 else 0
    return state, memory, CODE


def place(rng: Random, state: CpuState, code: bytes) -> list[tuple[int, bytes]]:
    """Where the code stands: mostly at CODE, or across a page's end; EIP may also point where there is no memory."""
    where = rng.random()
    if where < 0.75:
        return [(CODE, code)]
    if where < 0.9:
        shift = 0x1000 - rng.randrange(1, 32)
        state.eip = (state.eip + shift) & 0xFFFFFFFF
        return [(CODE + shift, code)]
    if state.cs.attributes & 1 << 22:
        state.eip = (
            rng.choice((HOLE, HOLE - 3, RAM - 5, RAM, TOP, 0xFFFFFFF0, 0xFFFFFFFF, GDT, PAGES)) - state.cs.base
        ) & 0xFFFFFFFF
    return [(CODE, code), (RAM - 0x200, code[:0x200]), (HOLE - 0x200, code[:0x200])]


SOURCES: Final[tuple[tuple[str, Callable[..., bytes], bool], ...]] = (
    ("copies", copies, False),
    ("copies", copies, False),
    ("random bytes", random_bytes, False),
    ("instructions", instructions, False),
    ("system instructions", system, True),
    ("self-modifying", self_modifying, True),
)
PAGING: Final = (None, None, "two levels", "pse", "pae")


def program(seed: str, index: int) -> Program:
    """Program `index` of `seed`."""
    rng = Random(f"{seed}/{index}")
    kind, source, sized = rng.choice(SOURCES)
    mode = rng.choice(("real", "ring 0", "ring 0", "ring 3", "ring 3", "16 bits", "virtual 8086"))
    wide = mode.startswith("ring")
    code = source(rng, wide=wide) if sized else source(rng)
    paging = None
    if mode == "real":
        state, memory, _ = real(rng)
    else:
        paging = rng.choice(PAGING)
        ring = 3 if mode in ("ring 3", "virtual 8086") else rng.choice((0, 1, 3)) if mode == "16 bits" else 0
        state, memory, _ = protected(rng, ring=ring, paging=paging, wide=wide, v86=mode == "virtual 8086")
    state.eflags |= flags(rng)
    fill_registers(rng, state)
    memory += [(DATA, rng.randbytes(0x400)), *place(rng, state, code[:0xE000] + END)]
    a20 = Random(f"{seed}/{index}/a20").random() < 0.85
    return Program(f"{kind}, {mode}{', paging ' + paging if paging else ''}", state, memory, a20)


def path(seed: str, group: int) -> str:
    """How port accesses leave a group of programs."""
    return Random(f"{seed}/path/{group}").choice(("exit", "exit", "trap", "hypercall"))
