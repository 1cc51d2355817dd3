# SPDX-License-Identifier: GPL-2.0-or-later
"""Operations on 32 bits: registers stay zero above bit 31, nothing is cut twice, sums still wrap round."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from iced_x86 import Code, Decoder

from .guest import START, CpuGuest
from .test_links import CODE, blocks

CODE_SIZE = 40  # of the core's record of a block
REGISTERS = ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi")
MARKS = tuple(0x9E3779B1 * n & 0xFFFFFFFF for n in range(11, 19))
CUTS = (Code.MOV_R32_RM32, Code.MOV_RM32_R32)
TABLE = 0x9000


def address_of_registers() -> int:
    """Where the core keeps those of the CPU whose registers are MARKS."""
    wanted = struct.pack("<8Q", *MARKS)
    found = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, access, *_, inode = line.split()[:5]
        if access != "rw-p" or inode != "0":
            continue
        first, end = (int(part, 16) for part in span.split("-"))
        held = ctypes.string_at(first, end - first) if end - first < 1 << 28 else b""
        at = held.find(wanted)
        found += [first + at] if at >= 0 and at % 8 == 0 else []
    return next(at for at in found if ctypes.string_at(at, len(wanted)) == wanted)


@pytest.fixture(scope="module")
def whole() -> Iterator[tuple[CpuGuest, int]]:
    """A CPU, and the address of its registers, 64 bits each."""
    cpu = CpuGuest()
    state = cpu.engine.state()
    for name, mark in zip(REGISTERS, MARKS, strict=True):
        setattr(state, name, mark)
    cpu.engine.set_state(state)
    yield cpu, address_of_registers()
    cpu.close()


@pytest.mark.parametrize(
    "listing",
    [
        "f7 f3 ; div ebx",
        "f7 fb ; idiv ebx",
        "f7 e3 ; mul ebx",
        "f7 eb ; imul ebx",
        "0f af c3 ; imul eax, ebx",
        "69 c3 ff ff ff ff ; imul eax, ebx, -1",
        "48 f7 d3 f7 d8 ; dec eax; not ebx; neg eax",
        "83 c0 ff 83 d3 ff ; add eax, -1; adc ebx, -1",
        "2b c3 1b d8 ; sub eax, ebx; sbb ebx, eax",
        "0f a2 ; cpuid",
        "0f 31 ; rdtsc",
        "b9 10 00 00 00 0f 32 ; mov ecx, 10h; rdmsr",
        "d5 0a d4 0a 27 2f 37 3f ; aad; aam; daa; das; aaa; aas",
        "0f c7 0d 00 90 00 00 ; cmpxchg8b [9000h]",
        "0f c1 d8 ; xadd eax, ebx",
        "0f b1 d9 ; cmpxchg ecx, ebx",
        "0f bc c3 0f bd cb ; bsf eax, ebx; bsr ecx, ebx",
        "0f c8 ; bswap eax",
        "60 61 ; pusha; popa",
        "d3 e0 d3 f8 d3 c0 d3 d0 ; shl, sar, rol, rcl eax, cl",
        "0f a4 d8 07 0f ad d8 ; shld eax, ebx, 7; shrd eax, ebx, cl",
        "99 98 66 98 ; cdq; cwde; cbw",
        "0f b6 c3 0f be db ; movzx eax, bl; movsx ebx, bl",
        "0f 44 c3 0f 42 d9 ; cmovz eax, ebx; cmovb ebx, ecx",
        "ed ; in eax, dx",
        "b9 04 00 00 00 bf 00 90 00 00 f3 6d ; rep insd",
        "b9 04 00 00 00 be 00 90 00 00 bf 00 98 00 00 fd f3 a5 ; std; rep movsd",
        "c8 10 00 01 c9 ; enter 16, 1; leave",
        "0f 7e c3 ; movd ebx, mm0",
        "0f d7 c0 ; pmovmskb eax, mm0",
        "f3 0f 2d c0 ; cvtss2si eax, xmm0",
        "9c 58 9f ; pushf; pop eax; lahf",
        "0f 20 c0 0f 21 fb ; mov eax, cr0; mov ebx, dr7",
        "8c d8 0f 00 cb 0f 02 c3 0f 03 d8 ; mov eax, ds; str ebx; lar eax, ebx; lsl ebx, eax",
        "cd 03 ; int 3",
    ],
)
@pytest.mark.parametrize("value", [0xFFFFFFFF, 0x80000000, 0x7FFFFFFF, 1])
def test_registers_are_zero_above_bit_31(whole: tuple[CpuGuest, int], listing: str, value: int) -> None:
    cpu, address = whole
    registers = {"eax": value, "ebx": value, "ecx": value, "edx": 0 if value == 1 else value & 0x7FFF}
    cpu.run(listing, registers=registers)
    held = struct.unpack("<8Q", ctypes.string_at(address, 64))
    assert [f"{word:x}" for word in held if word >> 32] == []
    assert held[4] == cpu.engine.state().esp


def host_code(eip: int) -> Iterator[object]:
    """The host's instructions for the block that begins there."""
    ((record, _, _),) = blocks(eip)
    code, size = struct.unpack("<QQ", ctypes.string_at(record + CODE, CODE_SIZE - CODE + 8))
    yield from Decoder(64, ctypes.string_at(code, size), ip=code)


@pytest.mark.parametrize(
    "listing",
    [
        "8b 43 10 ; mov eax, [ebx+16]",
        "8b 44 8b 10 ; mov eax, [ebx+ecx*4+16]",
        "8b 03 ; mov eax, [ebx]",
        "83 c0 05 8b 18 ; add eax, 5; mov ebx, [eax]",
        "8d 44 8b 10 ; lea eax, [ebx+ecx*4+16]",
        "c1 e0 05 03 c3 ; shl eax, 5; add eax, ebx",
        "58 50 ; pop eax; push eax",
        "39 d8 74 00 ; cmp eax, ebx; jz +0",
    ],
)
def test_nothing_is_cut_where_it_stands(cpu: CpuGuest, listing: str) -> None:
    cpu.run("90 " * 62 + "eb 00 ; nops, jmp +0\n" + listing, registers={"eax": TABLE, "ebx": TABLE, "ecx": 1})
    cuts = [i for i in host_code(START + 64) if i.code in CUTS and i.op0_register == i.op1_register]  # type: ignore[attr-defined]
    assert cuts == []


def test_addresses_wrap_round(cpu: CpuGuest) -> None:
    """Each sum is more than 4 GiB; the constants are folded by the translator, and by it alone."""
    cpu.memory.write(TABLE, struct.pack("<4I", 0x11, 0x22, 0x33, 0x44))
    listing = """\
        8b 83 10 90 00 00           ; mov eax, [ebx+9010h]          ebx: -16
        8b 8c 1b 24 90 00 00        ; mov ecx, [ebx*2+9024h]
        8b 94 9b 58 90 00 00        ; mov edx, [ebx+ebx*4+9058h]
        be 00 00 00 c0              ; mov esi, 0C0000000h
        81 c6 0c 90 00 40           ; add esi, 4000900Ch
        8b 36                       ; mov esi, [esi]
        """
    state = cpu.run(listing, registers={"ebx": 0xFFFFFFF0}).state
    assert (state.eax, state.ecx, state.edx, state.esi) == (0x11, 0x22, 0x33, 0x44)


def test_constants_with_the_highest_bit(cpu: CpuGuest) -> None:
    """A comparison of what the translator knows, which must not take a sign into the upper half."""
    listing = """\
        b8 00 00 00 70              ; mov eax, 70000000h
        05 00 00 00 20              ; add eax, 20000000h
        bb 00 00 00 90              ; mov ebx, 90000000h
        31 c9 39 d8 0f 94 c1        ; xor ecx, ecx; cmp eax, ebx; setz cl
        31 d2 3d 00 00 00 80 0f 97 c2   ; xor edx, edx; cmp eax, 80000000h; seta dl
        c1 e8 1c                    ; shr eax, 28
        """
    state = cpu.run(listing).state
    assert (state.ecx, state.edx, state.eax) == (1, 1, 9)


def test_flags_of_wrapped_sums(cpu: CpuGuest) -> None:
    """CF and ZF of 32 bits, where the sum itself needs 33."""
    carry = "0f 92 c1 0f 94 c2 ; setb cl; setz dl"
    clear = {"ecx": 0, "edx": 0}
    for listing, registers, expected in (
        ("01 d8 ; add eax, ebx", {"eax": 0xFFFFFFFF, "ebx": 1}, (1, 1)),
        ("01 d8 ; add eax, ebx", {"eax": 0xFFFFFFFF, "ebx": 2}, (1, 0)),
        ("29 d8 ; sub eax, ebx", {"eax": 0, "ebx": 1}, (1, 0)),
        ("29 d8 ; sub eax, ebx", {"eax": 5, "ebx": 5}, (0, 1)),
        ("f9 11 d8 ; stc; adc eax, ebx", {"eax": 0xFFFFFFFF, "ebx": 0}, (1, 1)),
        ("f8 40 ; clc; inc eax", {"eax": 0xFFFFFFFF}, (0, 1)),
        ("f8 48 ; clc; dec eax", {"eax": 0}, (0, 0)),
        ("d1 e0 ; shl eax, 1", {"eax": 0x80000000}, (1, 1)),
        ("f7 d8 ; neg eax", {"eax": 1}, (1, 0)),
    ):
        state = cpu.run(f"{listing}\n{carry}", registers=clear | registers).state
        assert (state.ecx, state.edx) == expected, listing
