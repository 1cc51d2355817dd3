# SPDX-License-Identifier: GPL-2.0-or-later
"""x87's exceptions: SDM vol. 1, 8.5; the condition codes of FXAM in vol. 2."""

from __future__ import annotations

import struct

import pytest

from ...conftest import machine_code
from ..translator import MODES, Translator
from .guest import GP, MF, NM, SPARE, CpuGuest, End
from .guest import START as CODE_AT
from .test_frames import FLAT_CODE
from .test_segments import LIMIT_15, load

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


RC_DOWN, RC_UP, RC_ZERO = 1 << 10, 2 << 10, 3 << 10
LEAST = bytes.fromhex("00000000000000c0ffff")  # what FBSTP stores of what does not fit
NAN, LARGER_NAN = bytes.fromhex("00000000000000e0ff7f"), bytes.fromhex("00000000000000f0ffff")
INFINITY = bytes.fromhex("0000000000000080ff7f")
LOAD = "db 2b ; fld tbyte [ebx]\n"
POP_TO_MEMORY = "\n db 7b 10 ; fstp tbyte [ebx+16]"


def double(value: float) -> bytes:
    return struct.pack("<d", value)


@pytest.mark.parametrize(
    ("value", "control", "stored", "flags"),
    [
        (123456789012345680.0, MASKED, "80 56 34 12 90 78 56 34 12 00", 0),
        (-2.5, MASKED, "02 00 00 00 00 00 00 00 00 80", PE),
        (2.5, MASKED | RC_UP, "03 00 00 00 00 00 00 00 00 00", PE),
        (-0.25, MASKED, "00 00 00 00 00 00 00 00 00 80", PE),
        (999999999999999872.0, MASKED, "72 98 99 99 99 99 99 99 99 00", 0),
        (1e18, MASKED, LEAST.hex(" "), IE),
        (-1e300, MASKED, LEAST.hex(" "), IE),
        (float("nan"), MASKED, LEAST.hex(" "), IE),
    ],
)
def test_fbstp(cpu: CpuGuest, value: float, control: int, stored: str, flags: int) -> None:
    _, status = run(cpu, "dd 03 ; fld qword [ebx]\n df 73 10 ; fbstp [ebx+16]", control, double(value))
    assert cpu.memory.read(AT + 16, 10) == bytes.fromhex(stored)
    assert status & FLAGS == flags


def test_what_fbstp_has_rounded_is_not_told_by_the_next_instruction(cpu: CpuGuest) -> None:
    code = "d9 eb ; fldpi\n df 33 ; fbstp [ebx]\n db e2 ; fnclex\n" + FLD1 + "d8 c0 ; fadd st0, st0"
    assert run(cpu, code)[1] & FLAGS == 0


@pytest.mark.parametrize(
    ("code", "size"),
    [("df 0b", 2), ("db 0b", 4), ("dd 0b", 8), ("df 13", 2), ("db 13", 4), ("df 3b", 8)],
    ids=["fisttp16", "fisttp32", "fisttp64", "fist16", "fist32", "fistp64"],
)
@pytest.mark.parametrize("value", [1e30, -1e30, float("inf"), float("nan")])
def test_what_does_not_fit_is_stored_as_the_least_integer(cpu: CpuGuest, code: str, size: int, value: float) -> None:
    _, status = run(cpu, "dd 03 ; fld qword [ebx]\n" + code, memory=double(value))
    assert (cpu.word(AT, size), status & FLAGS) == (1 << 8 * size - 1, IE)


def test_fscale_is_exact_by_a_fraction(cpu: CpuGuest) -> None:
    assert run(cpu, "d9 ea ; fldl2e\n d9 ea \n d9 fd ; fscale")[1] & FLAGS == 0


@pytest.mark.parametrize(
    ("constant", "nearest", "otherwise", "rounding"),
    [
        ("d9 e9 ; fldl2t", 0xD49A784BCD1B8AFE, 0xD49A784BCD1B8AFF, (RC_UP,)),
        ("d9 ea ; fldl2e", 0xB8AA3B295C17F0BC, 0xB8AA3B295C17F0BB, (RC_DOWN, RC_ZERO)),
        ("d9 eb ; fldpi", 0xC90FDAA22168C235, 0xC90FDAA22168C234, (RC_DOWN, RC_ZERO)),
        ("d9 ec ; fldlg2", 0x9A209A84FBCFF799, 0x9A209A84FBCFF798, (RC_DOWN, RC_ZERO)),
        ("d9 ed ; fldln2", 0xB17217F7D1CF79AC, 0xB17217F7D1CF79AB, (RC_DOWN, RC_ZERO)),
        ("d9 e8 ; fld1", 1 << 63, 1 << 63, ()),
    ],
)
def test_constants_are_rounded_as_the_control_word_says(
    cpu: CpuGuest, constant: str, nearest: int, otherwise: int, rounding: tuple[int, ...]
) -> None:
    for control in (0, RC_DOWN, RC_UP, RC_ZERO):
        run(cpu, constant + POP_TO_MEMORY, MASKED | control)
        assert cpu.word(AT + 16, 8) == (otherwise if control in rounding else nearest)


@pytest.mark.parametrize(
    "code", ["d8 c9 ; fmul st0, st1", "d9 c9 ; fxch", "d9 e1 ; fabs", "d9 e0 ; fchs", "d8 0b ; fmul dword"]
)
def test_of_an_empty_register_comes_the_indefinite(cpu: CpuGuest, code: str) -> None:
    run(cpu, code + POP_TO_MEMORY, memory=b"\xff\xff\xff\x7f")
    assert cpu.memory.read(AT + 16, 10) == INDEFINITE


@pytest.mark.parametrize(
    ("code", "memory", "flags"),
    [
        (FLD1 + "d8 33 ; fdiv dword [ebx]", struct.pack("<I", 1), DE),
        (FLD1 + "dc 0b ; fmul qword [ebx]", struct.pack("<Q", 1), DE),
        (FLD1 + "d8 13 ; fcom dword [ebx]", struct.pack("<I", 1), DE),
        (LOAD + "d8 c9 ; fmul st0, st1", struct.pack("<QH", 1, 0), IE | SF),
        (LOAD + "d8 0b ; fmul dword [ebx]", NAN, 0),
    ],
)
def test_a_nan_comes_before_a_denormal(cpu: CpuGuest, code: str, memory: bytes, flags: int) -> None:
    assert run(cpu, code, memory=memory)[1] & (FLAGS & ~C1 & ~UE & ~PE) == flags


@pytest.mark.parametrize(
    ("code", "memory", "result", "status"),
    [
        ("d9 f8 ; fprem", NAN + bytes(6) + LARGER_NAN, LARGER_NAN, 0),
        ("d9 f1 ; fyl2x", NAN + bytes(6) + LARGER_NAN, LARGER_NAN, 0),
        ("d9 f1 ; fyl2x", bytes(16) + struct.pack("<QH", 1 << 63, 0x3FFF), b"\0\0\0\0\0\0\0\x80\xff\xff", ZE),
        ("d9 f1 ; fyl2x", struct.pack("<QH6x", 1 << 63, 0xBFFF) + struct.pack("<QH", 1 << 63, 0x3FFF), INDEFINITE, IE),
        ("d9 fe ; fsin", INFINITY, INDEFINITE, IE),
        ("d9 fb ; fsincos", INFINITY, INDEFINITE, IE),
        ("d9 f2 ; fptan", INFINITY, INDEFINITE, IE),
        ("d9 f4 ; fxtract", INFINITY, INFINITY, 0),
        ("d9 f4 ; fxtract", NAN, NAN, 0),
    ],
)
def test_operands_that_are_no_numbers(cpu: CpuGuest, code: str, memory: bytes, result: bytes, status: int) -> None:
    _, seen = run(
        cpu, "db 6b 10 ; fld tbyte [ebx+16]\n" + LOAD + code + "\n db 7b 20 ; fstp tbyte [ebx+32]", memory=memory
    )
    assert cpu.memory.read(AT + 32, 10) == result
    assert seen & (IE | ZE | C2) == status


DIVIDE = FLDZ + FLD1 + "d8 f1 ; fdiv st0, st1\n"
FADD_NOWHERE = "d8 05 00 00 00 70 ; fadd dword [70000000h]"


@pytest.mark.parametrize(
    "code",
    [
        *("d9 e8 ; fld1", "d9 d0 ; fnop", "9b ; fwait", "dd c0 ; ffree st0", "d9 f7 ; fincstp", "d9 6b 40 ; fldcw"),
        *("0f 77 ; emms", "0f 6e c0 ; movd mm0, eax", "0f 2a c1 ; cvtpi2ps xmm0, mm1", "da c1 ; fcmovb", FADD_NOWHERE),
    ],
)
def test_who_waits_for_an_error(cpu: CpuGuest, code: str) -> None:
    start = START + DIVIDE
    end, _ = run(cpu, DIVIDE + code, ZE_UNMASKED)
    assert (end.vector, end.offset) == (MF, len(machine_code(start)))


@pytest.mark.parametrize(
    "code",
    ["db e2 ; fnclex", "db e3 ; fninit", "dd 33 ; fnsave", "d9 7b 08 ; fnstcw", "dd 7b 08 ; fnstsw", "df e0", "db e4"],
)
def test_who_does_not(cpu: CpuGuest, code: str) -> None:
    assert run(cpu, DIVIDE + code, ZE_UNMASKED)[0].vector is None


def test_device_not_available_comes_before_the_error(cpu: CpuGuest) -> None:
    end, _ = run(cpu, DIVIDE + "0f 20 c0 \n 0c 08 \n 0f 22 c0 ; CR0.TS\n" + FLD1, ZE_UNMASKED)
    assert end.vector == NM


@pytest.mark.parametrize(("carry", "code"), [("f8", "da c1"), ("f9", "da c1"), ("f8", "db c1")])
def test_fcmov_of_an_empty_register(cpu: CpuGuest, carry: str, code: str) -> None:
    _, status = run(cpu, f"{FLD1} {carry} {code} \n db 3b ; fstp tbyte [ebx]")
    assert status & (IE | SF | C1) == IE | SF
    assert cpu.memory.read(AT, 10) == INDEFINITE
    _, status = run(cpu, f"{FLD1} d9 f6 \n {carry} {code} \n db 3b ; fdecstp: ST(0) is empty")
    assert status & (IE | SF | C1) == IE | SF
    assert cpu.memory.read(AT, 10) == INDEFINITE


def test_the_instruction_pointer_is_that_of_the_error(cpu: CpuGuest) -> None:
    run(cpu, DIVIDE + "d9 73 10 ; fnstenv [ebx+16]\n db e2", ZE_UNMASKED)
    assert cpu.word(AT + 16 + 12) == CODE_AT + len(machine_code(START + FLDZ + FLD1))
    assert cpu.word(AT + 16 + 16, 2) == FLAT_CODE


@pytest.mark.parametrize(
    ("code", "last"),
    [
        ("0f fc 05 {at} ; paddb mm0, [es:at]", 8),
        ("0f 6e 05 {at} ; movd mm0, [es:at]", 12),
        ("0f 7f 05 {at} ; movq [es:at], mm0", 8),
        ("0f e7 05 {at} ; movntq [es:at], mm0", 8),
        ("0f 2c 05 {at} ; cvttps2pi mm0, [es:at]", 0),
        ("66 0f 2d 05 {at} ; cvtpd2pi mm0, [es:at]", 0),
    ],
)
def test_an_mmx_instruction_has_the_tags_once_its_operand_is_there(cpu: CpuGuest, code: str, last: int) -> None:
    for at, vector, in_use in ((last, None, 0xFF), (last + (16 if last == 0 else 1), GP, 0)):
        operand = code.format(at=at.to_bytes(4, "little").hex(" "))
        end = cpu.run("db e3 ; fninit\n" + load("es", SPARE) + "26 " + operand, segments=LIMIT_15)
        assert (end.vector, end.state.fpu.in_use) == (vector, in_use)


def test_the_translation_of_another_unicorn_is_left_alone(cpu: CpuGuest) -> None:
    cpu.run("0f fc 03 ; paddb mm0, [ebx]", registers={"ebx": AT})
    translator = Translator()
    costs = []
    for code in ("8b 03 ; mov eax, [ebx]", "0f fc c1 ; paddb mm0, mm1", "8b 03"):
        translator.write(machine_code(code))
        costs.append(translator.cost(1, MODES["flat, ring 0"]))
    assert costs[0] == costs[2]
