# SPDX-License-Identifier: GPL-2.0-or-later
"""What docs/cpu.md lists as missing: each test shows what the CPU does, and is expected to fail."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from ...conftest import machine_code
from .guest import DATA, DB, GP, SPARE, SS, STACK, START, XM, CpuGuest, descriptor
from .test_debug import ACCESS, ARMED, EXECUTE, arm
from .test_segments import LIMIT_15, READABLE_CODE, load
from .test_sse import AT, DEFAULT, MULSS, UE, singles
from .test_sse import run as run_sse
from .test_system import PAE, PE, PG, TABLES, set_cr
from .test_x87 import C1, FLD1, ZE_UNMASKED
from .test_x87 import run as run_x87

AC, AM = 1 << 18, 1 << 18
DAZ = 1 << 6
MINSS = MULSS.replace("59", "5d")


def test_the_table_names_what_is_tested_here() -> None:
    table = (Path(__file__).parents[3] / "docs" / "cpu.md").read_text().split("## What it lacks")[1]
    named = re.findall(r"^\| ([a-z0-9-]+) \|", table, re.MULTILINE)
    reasons = re.findall(
        r'^@pytest.mark.xfail\(strict=True, reason="([a-z0-9-]+)"\)', Path(__file__).read_text(), re.MULTILINE
    )
    assert sorted(named) == sorted(set(reasons))


@pytest.mark.xfail(strict=True, reason="x87-rounding")
def test_c1_tells_that_a_result_was_rounded_up(cpu: CpuGuest) -> None:
    _, status = run_x87(cpu, "dd 03 \n d9 5b 08 ; fld qword; fstp dword", memory=struct.pack("<d", 1 + 3 * 2.0**-25))
    assert status & C1


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


@pytest.mark.xfail(strict=True, reason="unaligned-watch")
def test_a_load_that_is_not_aligned_beside_a_data_breakpoint(cpu: CpuGuest) -> None:
    assert cpu.vector(arm(AT + 4, ACCESS) + "8b 43 05 ; mov eax, [ebx+5]", registers={"ebx": AT}) is None


@pytest.mark.xfail(strict=True, reason="x87-operand")
def test_the_operand_of_an_x87_error(cpu: CpuGuest) -> None:
    run_x87(cpu, FLD1 + "d8 33 ; fdiv dword [ebx]\n d9 73 10 ; fnstenv [ebx+16]\n db e2", ZE_UNMASKED, bytes(4))
    assert (cpu.word(AT + 16 + 20), cpu.word(AT + 16 + 24, 2)) == (AT, cpu.engine.state().ds.selector)


@pytest.mark.xfail(strict=True, reason="cvtps2pi-operand")
def test_cvtps2pi_reads_eight_bytes(cpu: CpuGuest) -> None:
    code = load("es", SPARE) + "26 0f 2d 05 08 00 00 00 ; cvtps2pi mm0, [es:8]"
    assert cpu.vector(code, segments=LIMIT_15) is None


@pytest.mark.xfail(strict=True, reason="near-limit")
@pytest.mark.parametrize(
    ("before", "code"),
    [
        ("", "e9 fb 1f 00 00 ; jmp near"),
        ("", "e8 fb 1f 00 00 ; call near"),
        ("68 00 20 00 00 ; push\n", "c3 ; ret"),
        ("b8 00 20 00 00 ; mov eax, 2000h\n", "ff e0 ; jmp eax"),
    ],
    ids=["jmp", "call", "ret", "jmp-eax"],
)
def test_a_near_transfer_beyond_the_limit_faults_itself(cpu: CpuGuest, before: str, code: str) -> None:
    cpu.memory.write(AT, machine_code(before + code))
    end = cpu.run(f"ea 00 00 00 00 {SPARE:02x} 00 ; jmp far", segments={SPARE: descriptor(AT, 0xFFF, READABLE_CODE)})
    assert (end.vector, end.error) == (GP, 0)
    assert end.eip == len(machine_code(before))


@pytest.mark.xfail(strict=True, reason="enter-limit")
def test_enter_beyond_the_limit_of_the_stack(cpu: CpuGuest) -> None:
    start = load("ss", SPARE)
    end = cpu.run(
        start + "c8 00 90 00 ; enter 9000h, 0\n" + load("ss", DATA), segments={SPARE: descriptor(0, STACK + 0xFFF)}
    )
    assert (end.vector, end.error, end.offset) == (SS, 0, len(machine_code(start)))
