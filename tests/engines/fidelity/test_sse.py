# SPDX-License-Identifier: GPL-2.0-or-later
"""SSE's exceptions: SDM vol. 1, 11.5; LDMXCSR, FXRSTOR, MOVAPS in vol. 2. Operands at EBX and behind it."""

from __future__ import annotations

import struct

import pytest

from .guest import BY_DEFAULT, CR4_OSFXSR, GP, UD, XM, CpuGuest, End

AT = 0x6000
IE, DE, ZE, OE, UE, PE = 1, 2, 4, 8, 16, 32
DEFAULT = 0x1F80
DAZ, FTZ = 1 << 6, 1 << 15
SNAN = struct.pack("<4I", 0x7FA00000, 0x3F800000, 0x3F800000, 0x3F800000)
LOAD = "0f ae 53 40 ; ldmxcsr [ebx+64]\n 0f 28 03 ; movaps xmm0, [ebx]\n"
STORE = "\n 0f ae 5b 44 ; stmxcsr [ebx+68]"
ADDSS, MULSS, DIVSS = "f3 0f 58 43 10", "f3 0f 59 43 10", "f3 0f 5e 43 10"
ADDPS, DIVPS, DIVPD = "0f 58 43 10", "0f 5e 43 10", "66 0f 5e 43 10"
SQRTSS, MINPS, COMISS = "f3 0f 51 43 10", "0f 5d 43 10", "0f 2f 43 10"
UCOMISS, CVTTSS2SI, CVTSD2SS = "0f 2e 43 10", "f3 0f 2c 43 10", "f2 0f 5a 43 10"
CVTPS2PD, RCPPS, CVTSI2SS = "0f 5a 43 10", "0f 53 43 10", "f3 0f 2a 43 10"
TINY, BIG = 1e-45, 3e38


def singles(*values: float) -> bytes:
    return struct.pack("<4f", *values, *[1.0] * (4 - len(values)))


def doubles(*values: float) -> bytes:
    return struct.pack("<2d", *values, *[1.0] * (2 - len(values)))


def run(cpu: CpuGuest, code: str, left: bytes, right: bytes, mxcsr: int = DEFAULT, cr4: int = BY_DEFAULT) -> End:
    cpu.memory.write(AT, left + right)
    cpu.memory.write(AT + 64, struct.pack("<II", mxcsr, 0))
    return cpu.run(LOAD + code + STORE, registers={"ebx": AT}, cr4=cr4)


@pytest.mark.parametrize(
    ("code", "left", "right", "flags"),
    [
        (ADDSS, singles(1), singles(1), 0),
        (DIVSS, singles(1), singles(0), ZE),
        (DIVSS, singles(0), singles(0), IE),
        (DIVSS, singles(1), singles(3), PE),
        (DIVSS, singles(TINY), singles(0), ZE),  # division by zero comes before the denormal operand
        (DIVPS, singles(1, 1, 1, 1), singles(1, 0, 3, 1), ZE | PE),
        (DIVPD, doubles(1, 1), doubles(1, 0), ZE),
        (MULSS, singles(BIG), singles(BIG), OE | PE),
        (MULSS, singles(1e-30), singles(1e-30), UE | PE),
        (ADDSS, singles(TINY), singles(1), DE | PE),
        (ADDPS, singles(1, TINY), singles(1, 0), DE),
        (ADDSS, SNAN, singles(1), IE),
        (ADDSS, SNAN, singles(TINY), IE),
        (SQRTSS, singles(1), singles(-1), IE),
        (SQRTSS, singles(1), singles(TINY), DE | PE),
        (SQRTSS, singles(1), singles(4), 0),
        (MINPS, singles(float("nan")), singles(1), IE),
        (COMISS, singles(float("nan")), singles(1), IE),
        (UCOMISS, singles(float("nan")), singles(1), 0),
        (UCOMISS, SNAN, singles(1), IE),
        (UCOMISS, singles(TINY), singles(1), DE),
        (CVTTSS2SI, singles(1), singles(1e20), IE),
        (CVTTSS2SI, singles(1), singles(1.5), PE),
        (CVTSD2SS, singles(1), doubles(1e300), OE | PE),
        (CVTPS2PD, singles(1), singles(TINY), DE),
        (CVTSI2SS, singles(1), struct.pack("<4I", 0x7FFFFFFF, 0, 0, 0), PE),
        (RCPPS, singles(1), SNAN, 0),
    ],
)
def test_flags(cpu: CpuGuest, code: str, left: bytes, right: bytes, flags: int) -> None:
    assert run(cpu, code, left, right).vector is None
    assert cpu.word(AT + 68) == DEFAULT | flags


def test_flags_are_sticky_and_seen_again(cpu: CpuGuest) -> None:
    code = f"{DIVSS}\n {DIVSS}\n {ADDSS}"
    run(cpu, code, singles(1), singles(3), DEFAULT | IE)
    assert cpu.word(AT + 68) == DEFAULT | IE | PE
    for _ in range(2):  # loaded clear, they are raised anew
        run(cpu, DIVSS, singles(1), singles(3))
        assert cpu.word(AT + 68) == DEFAULT | PE


@pytest.mark.parametrize(
    ("code", "left", "right", "flag"),
    [
        (DIVSS, singles(1), singles(0), ZE),
        (DIVSS, singles(0), singles(0), IE),
        (DIVSS, singles(1), singles(3), PE),
        (ADDSS, singles(TINY), singles(0), DE),
        (MULSS, singles(BIG), singles(BIG), OE),
        (COMISS, singles(float("nan")), singles(1), IE),
        (CVTTSS2SI, singles(1), singles(1e20), IE),
    ],
)
def test_unmasked_is_a_fault_without_effect(cpu: CpuGuest, code: str, left: bytes, right: bytes, flag: int) -> None:
    mxcsr = DEFAULT & ~(flag << 7)
    end = run(cpu, code, left, right, mxcsr)
    assert (end.vector, end.offset) == (XM, 7)
    assert end.state.fpu.xmm[0] == left
    assert end.state.fpu.mxcsr & flag
    assert end.state.eax == 0
    assert run(cpu, code, left, right, mxcsr, CR4_OSFXSR).vector == UD


def test_daz_and_ftz(cpu: CpuGuest) -> None:
    run(cpu, ADDSS, singles(TINY), singles(0), DEFAULT | DAZ)
    assert cpu.word(AT + 68) == DEFAULT | DAZ
    end = run(cpu, MULSS, singles(1e-30), singles(1e-10), DEFAULT | FTZ)
    assert end.state.fpu.xmm[0][:4] == bytes(4)
    assert cpu.word(AT + 68) == DEFAULT | FTZ | UE | PE


def test_reserved_bits_of_mxcsr(cpu: CpuGuest) -> None:
    assert run(cpu, "90", singles(1), singles(1), 1 << 16).vector == GP
    cpu.memory.write(AT + 0x200, bytes(24) + struct.pack("<II", 1 << 31, 0) + bytes(480))
    assert cpu.vector("0f ae 8b 00 02 00 00 ; fxrstor [ebx+0x200]", registers={"ebx": AT}) == GP
    cpu.memory.write(AT + 0x200, bytes(24) + struct.pack("<II", DEFAULT | PE, 0) + bytes(480))
    end = cpu.run("0f ae 8b 00 02 00 00 \n 0f ae 03 ; fxsave [ebx]", registers={"ebx": AT})
    assert end.vector is None
    assert (cpu.word(AT + 24), cpu.word(AT + 28)) == (DEFAULT | PE, 0xFFFF)  # MXCSR and MXCSR_MASK


@pytest.mark.parametrize(
    "code", ["0f 28 43", "0f 29 43", "66 0f 6f 43", "66 0f 7f 43", "0f 58 43", "66 0f ef 43", "0f 2b 43"]
)
def test_operands_of_16_bytes_are_aligned(cpu: CpuGuest, code: str) -> None:
    for ring in (0, 3):
        end = cpu.run(f"{code} 01", registers={"ebx": AT}, ring=ring)
        assert (end.vector, end.error, end.offset) == (GP, 0, 0)
        assert cpu.run(f"{code} 10", registers={"ebx": AT}, ring=ring).offset > 0  # at CPL 3, the HLT is #GP


@pytest.mark.parametrize("code", ["0f 10 43", "f3 0f 6f 43", "f3 0f 58 43", "66 0f 12 43", "0f 6f 43", "0f 5a 43"])
def test_others_need_not_be(cpu: CpuGuest, code: str) -> None:
    assert cpu.vector(f"{code} 01", registers={"ebx": AT}) is None


@pytest.mark.parametrize("prefix", ["", "66", "f3", "f2"])
@pytest.mark.parametrize(
    "operand", ["c2 c0", "c2 03", "c2 43 00", "c2 04 23", "c2 83 00 00 00 00", "c2 05 00 60 00 00"]
)
def test_five_bits_of_a_predicate_do_not_count(cpu: CpuGuest, prefix: str, operand: str) -> None:
    for predicate in (0x18, 0x1C, 0xFB):  # equal, unequal, unordered
        end = run(cpu, f"{prefix} 0f {operand} {predicate:02x}", singles(1.0, 1.0, 1.0, 1.0), singles(2.0))
        assert end.vector is None
        assert end.state.fpu.xmm[0][:4] == (b"\xff" * 4 if predicate == 0x18 else bytes(4))


def test_the_16_bit_address_of_a_comparison(cpu: CpuGuest) -> None:
    for operand in ("07", "46 00", "86 00 00", "06 00 60"):  # [bx], [bp], [bp+0], [6000h]
        end = cpu.run(f"67 0f c2 {operand} 10", registers={"ebx": AT, "ebp": AT})
        assert (end.vector, end.offset) == (None, 6 + len(operand.split()) - 1)
