# SPDX-License-Identifier: GPL-2.0-or-later
"""Control and model-specific registers: SDM vol. 3, 2.5 and 4.4.1; vol. 4. What CPUID does not claim stays off."""

from __future__ import annotations

import struct

import pytest

from hyperport.cpu import cpuid
from hyperport.time.tsc import tsc_khz

from .guest import GP, PF, START, UD, CpuGuest

PE, EM, NW, CD, PG = 1, 4, 1 << 29, 1 << 30, 1 << 31
PAE, PGE = 1 << 5, 1 << 7
TABLES = 0x20000


def set_cr(number: int, value: int) -> str:
    return f"b8 {value.to_bytes(4, 'little').hex(' ')}\n 0f 22 {0xC0 | number << 3:02x}\n"


@pytest.mark.parametrize(
    ("value", "vector"),
    [
        (PE | CD, None),
        (PE | CD | NW, None),
        (PE | NW, GP),
        (PG, GP),
        (PE | 0x1FFAFFC0, None),  # reserved bits stay clear
    ],
)
def test_cr0(cpu: CpuGuest, value: int, vector: int | None) -> None:
    end = cpu.run(set_cr(0, value) + "0f 20 c3 ; mov ebx, cr0")
    assert end.vector == vector
    assert vector is not None or end.state.ebx == value & 0xE005003F | 0x10


@pytest.mark.parametrize("bit", range(32))
def test_cr4_has_what_cpuid_claims(cpu: CpuGuest, bit: int) -> None:
    edx = cpuid.FEATURES_EDX
    claimed = {
        2: edx >> 4 & 1, 3: edx >> 2 & 1, 4: edx >> 3 & 1, 5: edx >> 6 & 1, 6: edx >> 7 & 1, 7: edx >> 13 & 1,
        8: 1,  # PCE: of family 6
        9: edx >> 24 & 1, 10: edx >> 25 & 1,
    }  # fmt: skip
    assert cpu.vector(set_cr(4, 1 << bit)) == (None if claimed.get(bit) else GP)


@pytest.mark.parametrize(
    ("entry", "vector"), [(0x21001, None), (0x21003, GP), (0x21021, GP), (1 << 40 | 1, GP), (0x6, None)]
)
def test_page_directory_pointers(cpu: CpuGuest, entry: int, vector: int | None) -> None:
    # Identity map by one 2 MiB page; the second pointer is the one that is looked at.
    cpu.memory.write(TABLES, struct.pack("<4Q", TABLES + 0x1000 | 1, entry, 0, 0))
    cpu.memory.write(TABLES + 0x1000, struct.pack("<Q", 0x83))
    paging = set_cr(4, PAE) + set_cr(3, TABLES) + set_cr(0, PE | PG)
    assert cpu.vector(paging) == vector
    if vector is not None:  # and with paging on, by MOV to CR3
        cpu.memory.write(TABLES + 0x40, struct.pack("<4Q", TABLES + 0x1000 | 1, 0, 0, 0))
        code = set_cr(4, PAE) + set_cr(3, TABLES + 0x40) + set_cr(0, PE | PG)
        assert cpu.vector(code) is None
        assert cpu.vector(code + set_cr(3, TABLES)) == GP


def wrmsr(number: int, low: int, high: int = 0) -> str:
    moves = (("b9", number), ("b8", low), ("ba", high))  # to ECX, EAX, EDX
    parts = [f"{opcode} {value.to_bytes(4, 'little').hex(' ')}" for opcode, value in moves]
    return "\n".join(parts) + "\n 0f 30 ; wrmsr\n"


RDMSR = "0f 32 ; rdmsr"
KNOWN = (0x10, 0x17, 0x3B, 0x8B, 0x174, 0x175, 0x176, 0x277, 0xC0000080)


UNKNOWN = (
    *(0, 0x1B, 0x2A, 0xFE, 0x179, 0x17A, 0x1A0, 0x1D9, 0x200, 0x400, 0x4B564D00, 0x4B564D01),
    *(0xC0000081, 0xC0000100, 0xC0000103, 0xFFFFFFFF),
)


@pytest.mark.parametrize("number", KNOWN + UNKNOWN)
def test_known_and_unknown_registers(cpu: CpuGuest, number: int) -> None:
    end = cpu.run(RDMSR, registers={"ecx": number})
    assert end.vector == (None if number in KNOWN else GP)
    if number not in KNOWN:
        assert cpu.vector(wrmsr(number, 0)) == GP


def test_what_registers_take(cpu: CpuGuest) -> None:
    assert cpu.vector(wrmsr(0xC0000080, 0x800)) is None  # NXE
    for bit in (0, 8, 10, 12, 14):
        assert cpu.vector(wrmsr(0xC0000080, 1 << bit)) == GP
    assert cpu.vector(wrmsr(0x277, 0x00070406, 0x00070406)) is None
    for bad in (0x02, 0x03, 0x08, 0xFF):
        assert cpu.vector(wrmsr(0x277, bad)) == GP
    state = cpu.run(wrmsr(0x10, 0, 5) + RDMSR).state
    assert state.edx == 5
    state = cpu.run(wrmsr(0x10, 0, 5) + "0f 31 ; rdtsc").state
    assert state.edx == 5
    assert cpu.vector(RDMSR, registers={"ecx": 0x10}, ring=3) == GP


def test_what_was_added_to_the_tsc(cpu: CpuGuest) -> None:
    adjust = {"ecx": 0x3B}
    state = cpu.run(RDMSR, registers=adjust).state
    assert (state.edx, state.eax) == (0, 0)
    state = cpu.run(wrmsr(0x3B, 0xFFFFFFF6, 5) + RDMSR).state
    assert (state.edx, state.eax) == (5, 0xFFFFFFF6)
    state = cpu.run(wrmsr(0x3B, 0, 0x4000_0000) + "0f 31 ; rdtsc").state
    assert state.edx >> 28 == 4  # a host that has been up for less than ten years
    read_first = "0f 31 ; rdtsc \n 89 c6 ; mov esi, eax \n 89 d7 ; mov edi, edx\n"
    state = cpu.run(wrmsr(0x3B, 0) + read_first + wrmsr(0x10, 0, 0x5000_0000) + "b9 3b 00 00 00\n" + RDMSR).state
    before, added = state.edi << 32 | state.esi, state.edx << 32 | state.eax
    assert 0 < (0x5000_0000 << 32) - added - before < 1 << 40  # added to the time of WRMSR, a little after RDTSC


@pytest.mark.parametrize(("sub_leaf", "ebx"), [(0, 2), (1, 0), (0xFFFFFFFF, 0)])
def test_features_with_sub_leaves(cpu: CpuGuest, sub_leaf: int, ebx: int) -> None:
    state = cpu.run("0f a2 ; cpuid", registers={"eax": 7, "ecx": sub_leaf, "ebx": 5}).state
    assert (state.eax, state.ebx, state.ecx, state.edx) == (0, ebx, 0, 0)


def test_the_speed_that_is_told_is_the_hosts(cpu: CpuGuest) -> None:
    state = cpu.run("0f a2 ; cpuid", registers={"eax": 0x15}).state
    assert (state.ebx, state.eax) == ((tsc_khz(), cpuid.CRYSTAL_KHZ) if tsc_khz() else (0, 0))


def test_there_are_no_counters(cpu: CpuGuest) -> None:
    for ring in (0, 3):
        end = cpu.run("0f 33 ; rdpmc", ring=ring)
        assert (end.vector, end.offset) == (GP, 0)


@pytest.mark.parametrize("code", ["0f 20 c8 ; mov eax, cr1", "0f 22 e8 ; mov cr5, eax", "0f 20 f8 ; mov eax, cr7"])
def test_control_registers_that_are_none(cpu: CpuGuest, code: str) -> None:
    assert cpu.vector(code) == UD


@pytest.mark.parametrize(("before", "names"), [(7, 0), (3, 0), (25, 0), (0, 0), (7, 14)])
def test_a_page_fault_of_code_names_its_own_instruction(cpu: CpuGuest, before: int, names: int) -> None:
    """Code at the end of a page behind which nothing is. names: how long the last instruction already is there."""
    end_of_page, directory, table = START + 0x1000, TABLES, TABLES + 0x1000
    cpu.memory.write(directory, struct.pack("<I", table | 3).ljust(4096, b"\0"))
    cpu.memory.write(table, struct.pack("<512I", *(0 if at == 0x11 else at << 12 | 3 for at in range(512))))
    last = b"\x66" * 13 + b"\x05" if names else b"\x81\xc3"  # add ax, imm16 with many prefixes; add ebx, imm32
    code = b"\x43" * before + last
    cpu.memory.write(end_of_page - len(code), code)
    jump = (end_of_page - len(code)).to_bytes(4, "little").hex(" ")
    end = cpu.run(set_cr(3, directory) + set_cr(0, PE | PG) + f"31 db \n b8 {jump} \n ff e0 ; xor ebx, ebx; jmp eax")
    assert (end.vector, end.error, end.eip) == (PF, 0, end_of_page - len(last))
    assert (end.state.ebx, end.state.cr2) == (before, end_of_page)
