# SPDX-License-Identifier: GPL-2.0-or-later
"""What docs/cpu.md lists as missing: each test shows what the CPU does, and is expected to fail."""

from __future__ import annotations

import struct

import pytest

from .guest import DB, MF, SPARE, SS, START, XM, CpuGuest, descriptor
from .test_debug import ACCESS, ARMED, EXECUTE, arm
from .test_segments import load
from .test_sse import AT, DEFAULT, MULSS, UE, singles
from .test_sse import run as run_sse
from .test_system import PAE, PE, PG, TABLES, set_cr
from .test_x87 import C1, FLD1, FLDZ, SF, ZE_UNMASKED
from .test_x87 import run as run_x87

AC, AM = 1 << 18, 1 << 18
DAZ = 1 << 6
MINSS = MULSS.replace("59", "5d")


@pytest.mark.xfail(strict=True, reason="stack-frames")
def test_the_frame_of_an_interrupt_fits_the_stack(cpu: CpuGuest) -> None:
    # INT 3, and the stack's last bytes lie beyond its limit (SDM vol. 2, INT n): #SS, or #DF as that has no room either
    segments = {SPARE: descriptor(0, 0x7FF8)}
    assert cpu.vector(load("ss", SPARE) + "cc ; int3", segments=segments) in (SS, 8)


@pytest.mark.xfail(strict=True, reason="reserved-nop")
def test_0f0d_with_a_register_is_a_nop(cpu: CpuGuest) -> None:
    assert cpu.vector("0f 0d c0") is None


@pytest.mark.xfail(strict=True, reason="x87-rounding")
def test_c1_tells_that_a_result_was_rounded_up(cpu: CpuGuest) -> None:
    _, status = run_x87(cpu, "dd 03 \n d9 5b 08 ; fld qword; fstp dword", memory=struct.pack("<d", 1 + 3 * 2.0**-25))
    assert status & C1


@pytest.mark.xfail(strict=True, reason="x87-wait")
def test_an_x87_instruction_waits_for_errors(cpu: CpuGuest) -> None:
    end, _ = run_x87(cpu, FLDZ + FLD1 + "d8 f1 ; fdiv st0, st1\n d9 e8 ; fld1", ZE_UNMASKED)
    assert end.vector == MF


@pytest.mark.xfail(strict=True, reason="x87-fcmov")
def test_fcmov_of_an_empty_register(cpu: CpuGuest) -> None:
    assert run_x87(cpu, FLD1 + "f8 da c1 ; clc; fcmovb st0, st1")[1] & SF


@pytest.mark.xfail(strict=True, reason="x87-tiny")
def test_the_exponent_of_a_denormal(cpu: CpuGuest) -> None:
    run_x87(cpu, "db 2b d9 f4 dd d8 db 3b ; fld tbyte; fxtract; fstp st0; fstp tbyte", memory=struct.pack("<QH", 1, 0))
    assert cpu.memory.read(AT, 10) == bytes.fromhex("0000000000007a800dc0")  # -16445


@pytest.mark.xfail(strict=True, reason="sse-least-daz")
def test_the_least_of_denormals_that_are_zeros(cpu: CpuGuest) -> None:
    end = run_sse(cpu, MINSS, singles(2.0**-140), singles(1.0), DEFAULT | DAZ)
    assert end.state.fpu.xmm[0][:4] == bytes(4)


@pytest.mark.xfail(strict=True, reason="sse-tiny")
def test_unmasked_underflow_of_an_exact_result(cpu: CpuGuest) -> None:
    end = run_sse(cpu, MULSS, singles(2.0**-126), singles(0.5), DEFAULT & ~(UE << 7))
    assert end.vector == XM


@pytest.mark.xfail(strict=True, reason="alignment-check")
def test_alignment_check(cpu: CpuGuest) -> None:
    code = "9c \n 81 0c 24 00 00 04 00 \n 9d ; AC\n 8b 43 01 ; mov eax, [ebx+1]"
    assert cpu.run(code, ring=3, registers={"ebx": AT, "cr0": PE | AM}).vector == 17


@pytest.mark.xfail(strict=True, reason="pdpte-cache")
def test_page_directory_pointers_are_loaded_with_cr3(cpu: CpuGuest) -> None:
    cpu.memory.write(TABLES, struct.pack("<4Q", TABLES + 0x1000 | 1, TABLES + 0x1000 | 1, 0, 0))
    cpu.memory.write(TABLES + 0x1000, struct.pack("<Q", 0x83))
    paging = set_cr(4, PAE) + set_cr(3, TABLES) + set_cr(0, PE | PG)
    code = paging + "c7 05 08 00 02 00 00 00 00 00 ; clear the second\n 8a 05 00 00 00 40 ; mov al, [40000000h]"
    assert cpu.vector(code) is None


@pytest.mark.xfail(strict=True, reason="mov-ss-data")
def test_mov_ss_holds_off_its_own_data_breakpoint(cpu: CpuGuest) -> None:
    cpu.memory.write(AT, b"\x10\0")
    end = cpu.run(arm(AT, ACCESS) + "8e 13 ; mov ss, [ebx]\n 41 ; inc ecx", registers={"ebx": AT})
    assert (end.vector, end.offset) == (DB, ARMED + 3)


@pytest.mark.xfail(strict=True, reason="mov-ss-code")
def test_mov_ss_holds_off_a_breakpoint_behind_it(cpu: CpuGuest) -> None:
    code = "16 \n 17 ; push ss, pop ss\n 41 ; inc ecx"
    assert cpu.vector(arm(START + ARMED + 2, EXECUTE) + code) is None


@pytest.mark.xfail(strict=True, reason="task-trap")
def test_the_trap_flag_of_a_task(cpu: CpuGuest) -> None:
    tss = [0] * 26
    tss[8], tss[9], tss[14] = 0x10100, 2, 0x7000  # EIP, EFLAGS, ESP
    for index, selector in zip(range(18, 24), (0x10, 0x08, 0x10, 0x10, 0x10, 0x10), strict=True):
        tss[index] = selector
    tss[25] = 1  # T
    cpu.memory.write(0x5800, struct.pack("<26I", *tss))
    cpu.memory.write(0x10100, b"\xf4")
    segments = {SPARE: struct.pack("<HHBBBB", 0x67, 0x5800, 0, 0x89, 0, 0)}
    end = cpu.run("ea 00 00 00 00 18 00 ; jmp to the task", segments=segments)
    assert (end.vector, end.eip) == (DB, 0x10100)
