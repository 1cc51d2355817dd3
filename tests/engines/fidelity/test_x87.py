# SPDX-License-Identifier: GPL-2.0-or-later
"""x87's exceptions: SDM vol. 1, 8.5; the condition codes of FXAM in vol. 2."""

from __future__ import annotations

import struct

import pytest

from .guest import MF, CpuGuest, End

AT = 0x6000
IE, DE, ZE, OE, UE, PE, SF, ES = 1, 2, 4, 8, 16, 32, 64, 128
C0, C1, C2, C3, B = 1 << 8, 1 << 9, 1 << 10, 1 << 14, 1 << 15
FLAGS = 0xFF | C1 | B
MASKED, IE_UNMASKED, ZE_UNMASKED = 0x37F, 0x37E, 0x37B
START = "db e3 ; fninit\n d9 6b 40 ; fldcw [ebx+64]\n"
STORE = "\n dd 7b 44 ; fnstsw [ebx+68]"
FLD1, FLDZ = "d9 e8 \n", "d9 ee \n"
INDEFINITE = bytes.fromhex("000000000000 00c0 ffff".replace(" ", ""))


def run(cpu: CpuGuest, code: str, control: int = MASKED, memory: bytes = b"") -> tuple[End, int]:
    cpu.memory.write(AT, memory.ljust(64, b"\0") + struct.pack("<HHI", control, 0, 0))
    end = cpu.run(START + code + STORE, registers={"ebx": AT})
    return end, cpu.word(AT + 68, 2)


@pytest.mark.parametrize(
    ("code", "memory", "flags"),
    [
        (FLD1 + "d8 c0 ; fadd st0, st0", b"", 0),
        (FLD1 + FLDZ + "d8 f9 ; fdivr st0, st1", b"", ZE),
        (FLDZ + FLDZ + "d8 f1 ; fdiv st0, st1", b"", IE),
        (FLD1 + "d8 33 ; fdiv dword [ebx]", struct.pack("<f", 3), PE),
        (FLD1 + "d9 e0 \n d9 fa ; fchs; fsqrt", b"", IE),
        ("d9 03 ; fld dword [ebx]", struct.pack("<I", 1), DE),
        ("d9 03 ; fld dword [ebx]", struct.pack("<I", 0x7FA00000), IE),
        ("dd 03 \n d9 5b 08 ; fld qword [ebx]; fstp dword [ebx+8]", struct.pack("<d", 1e300), OE | PE),
        ("dd 03 \n d9 5b 08", struct.pack("<d", 1e-300), UE | PE),
        ("dd 03 \n df 5b 08 ; fistp word [ebx+8]", struct.pack("<d", 40000), IE),
        ("dd 03 \n df 5b 08", struct.pack("<d", -32768), 0),
        ("dd 03 \n db 5b 08 ; fistp dword [ebx+8]", struct.pack("<d", 1e10), IE),
        ("dd 03 \n dd 03 \n de d9 ; fcompp", struct.pack("<d", float("nan")), IE),
        ("dd 03 \n dd 03 \n da e9 ; fucompp", struct.pack("<d", float("nan")), 0),
    ],
)
def test_flags(cpu: CpuGuest, code: str, memory: bytes, flags: int) -> None:
    end, status = run(cpu, code, memory=memory)
    assert end.vector is None
    assert status & FLAGS == flags


@pytest.mark.parametrize(
    "code",
    [
        *("d8 c1", "d9 fa", "d9 c0", "d9 1b", "dd 1b", "db 1b", "db 3b", "d9 c9", "d8 d1", "d9 e0"),
        *("de c1", "d9 e4", "d9 f8", "dd d9", "d8 03", "df 33"),
    ],
)
def test_an_empty_register_is_a_stack_fault(cpu: CpuGuest, code: str) -> None:
    end, status = run(cpu, code)
    assert end.vector is None
    assert status & FLAGS & ~DE == IE | SF


@pytest.mark.parametrize("load", ["d9 e8", "d9 03", "dd 03", "db 03", "df 2b", "db 2b", "d9 c0", "df 23", "d9 f2"])
def test_a_full_stack_is_a_stack_fault_with_c1(cpu: CpuGuest, load: str) -> None:
    end, status = run(cpu, FLD1 * 8 + load, memory=bytes(16))
    assert end.vector is None
    assert status & FLAGS & ~PE == IE | SF | C1
    assert end.state.fpu.stack[0] == INDEFINITE
    assert status >> 11 & 7 == 7


def test_the_indefinite_is_stored(cpu: CpuGuest) -> None:
    run(cpu, "d9 1b ; fstp dword [ebx]")
    assert cpu.word(AT) == 0xFFC00000
    run(cpu, "db 1b ; fistp dword [ebx]")
    assert cpu.word(AT) == 0x80000000


def test_an_unmasked_stack_fault_changes_nothing_but_the_status(cpu: CpuGuest) -> None:
    end, status = run(cpu, FLD1 * 8 + "d9 ee ; fldz", IE_UNMASKED)
    assert end.vector is None
    assert status == IE | SF | C1 | ES | B
    assert end.state.fpu.stack[0] == bytes.fromhex("0000000000000080ff3f")
    end, status = run(cpu, "c7 03 11 11 11 11 ; mov dword [ebx], 0x11111111 \n d9 1b ; fstp dword [ebx]", IE_UNMASKED)
    assert status == IE | SF | ES | B
    assert cpu.word(AT) == 0x11111111


@pytest.mark.parametrize("length", ["d8 04 24", "d8 44 23 08", "d8 83 00 01 00 00", "66 67 d8 07", "d8 05 00 60 00 00"])
def test_an_instruction_that_is_left_behind_is_left_whole(cpu: CpuGuest, length: str) -> None:
    end, status = run(cpu, f"{length} \n b9 05 00 00 00 ; mov ecx, 5", IE_UNMASKED)
    assert (end.vector, end.state.ecx) == (None, 5)
    assert status & (IE | SF) == IE | SF


def test_an_unmasked_division_by_zero_keeps_its_operands(cpu: CpuGuest) -> None:
    end, status = run(cpu, FLDZ + FLD1 + "de f1 ; fdivrp st1, st0", ZE_UNMASKED)
    assert status & (ZE | ES | B) == ZE | ES | B
    assert status >> 11 & 7 == 6  # not popped
    end, _ = run(cpu, FLDZ + FLD1 + "de f1 \n 9b ; fwait", ZE_UNMASKED)
    assert end.vector == MF


def test_fxam_knows_an_empty_register(cpu: CpuGuest) -> None:
    assert run(cpu, "d9 e5")[1] & (C3 | C2 | C0) == C3 | C0
    assert run(cpu, FLDZ + "d9 e5")[1] & (C3 | C2 | C0) == C3


def test_a_store_fills_an_empty_register(cpu: CpuGuest) -> None:
    _, status = run(cpu, FLD1 + "dd d3 \n dd d8 \n d9 c2 ; fst st3; fstp st0; fld st2")
    assert status & FLAGS == 0
