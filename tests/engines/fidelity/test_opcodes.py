# SPDX-License-Identifier: GPL-2.0-or-later
"""What cpu/undefined.py calls undefined is #UD on the CPU, and what it calls an instruction is not. Sources: there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hyperport.cpu.undefined import Verdict, judge

from .guest import BY_DEFAULT, DB, GP, UD, CpuGuest

NOPS = b"\x90" * 14
PREFIXES = (b"", b"\x66", b"\xf2", b"\xf3", b"\xf0")
MODRM = (*range(0x00, 0x40, 8), *range(0xC0, 0x100, 8), *range(0xC1, 0x100, 8))


def undefined_on(cpu: CpuGuest, code: bytes) -> bool:
    """Does it raise #UD at its first byte? Whatever else it does is not looked at."""
    end = cpu.run(code, registers={"ebx": 0x6000, "eax": 0x6000, "ecx": 1})
    return end.vector == UD and end.offset == 0


def bodies() -> Iterator[bytes]:
    for opcode in range(256):
        for modrm in MODRM:
            if opcode not in b"\x0f\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3":
                yield bytes((opcode, modrm))
            yield bytes((0x0F, opcode, modrm))


@pytest.mark.parametrize("prefix", PREFIXES, ids=lambda prefix: prefix.hex() or "none")
def test_what_is_undefined_is_ud(cpu: CpuGuest, prefix: bytes) -> None:
    codes = [(prefix + body + NOPS)[:15] for body in bodies()]
    undefined = [code for code in codes if judge(code) == Verdict.UNDEFINED]
    assert len(undefined) > 1000
    assert [code.hex() for code in undefined if not undefined_on(cpu, code)] == []


@pytest.mark.parametrize("prefix", PREFIXES[:-1], ids=lambda prefix: prefix.hex() or "none")
def test_mmx_sse_and_x87_with_registers_are_no_ud(cpu: CpuGuest, prefix: bytes) -> None:
    codes = [prefix + body + NOPS for body in bodies() if body[-1] >= 0xC0 and (body[0] & 0xF8 == 0xD8 or is_sse(body))]
    defined = [code for code in codes if judge(code[:15]) != Verdict.UNDEFINED]
    assert len(defined) > 300
    assert [code.hex() for code in defined if undefined_on(cpu, code)] == []


def is_sse(body: bytes) -> bool:
    return body[0] == 0x0F and body[1] in (
        *range(0x10, 0x18),
        *range(0x28, 0x30),
        *range(0x50, 0x80),
        *range(0xD0, 0x100),
    )


@pytest.mark.parametrize("ring", [0, 3])
@pytest.mark.parametrize(
    "code", ["8fc8", "0f05", "0f07", "f08903", "f00fa303", "ffff", "0f0f c1 9e", "f0ff33", "c5f857c0"]
)
def test_undefined_in_all_rings(cpu: CpuGuest, code: str, ring: int) -> None:
    end = cpu.run(bytes.fromhex(code), ring=ring)
    assert (end.vector, end.offset) == (UD, 0)


def test_undefined_across_a_page(cpu: CpuGuest) -> None:
    at = 0x10FFF
    cpu.memory.write(at, b"\x8f\xc8\xf4")
    end = cpu.run("e9 fa 0f 00 00 ; jmp 0x10fff")
    assert (end.vector, end.eip) == (UD, at)


def test_icebp_is_a_trap_without_bits_in_dr6(on_path: CpuGuest) -> None:
    end = on_path.run("f1 ; icebp")
    assert (end.vector, end.offset, end.error) == (DB, 1, 0)
    end = on_path.run("66 f1", ring=3)  # no matter what the gate's DPL is: vol. 3, 6.3.2
    assert (end.vector, end.offset) == (DB, 2)


@pytest.mark.parametrize("ring", [0, 3])
def test_smsw_stores_all_of_cr0_in_a_long_register(cpu: CpuGuest, ring: int) -> None:
    state = cpu.run("0f 01 e3 ; smsw ebx", ring=ring, registers={"ebx": 0x55555555}).state
    assert state.ebx == state.cr0
    state = cpu.run("66 0f 01 e3 ; smsw bx", ring=ring, registers={"ebx": 0x55555555}).state
    assert state.ebx == 0x55550000 | state.cr0 & 0xFFFF


def test_sixteen_bytes_are_too_long(cpu: CpuGuest) -> None:
    assert cpu.vector(b"\x66" * 14 + b"\x90") is None
    assert cpu.vector(b"\x66" * 15 + b"\x90") == GP


def test_f3_and_f2_choose_the_instruction_before_66(cpu: CpuGuest) -> None:
    one, two = bytes.fromhex("0000803f" * 4), bytes.fromhex("00000040" * 4)
    cpu.memory.write(0x6000, one + two)
    load = "0f 28 03 ; movaps xmm0, [ebx]\n 0f 28 4b 10 ; movaps xmm1, [ebx+16]\n"
    for code in ("66 f3 0f 58 c1", "f3 66 0f 58 c1"):  # addss, not addpd
        state = cpu.run(f"{load} {code}", registers={"ebx": 0x6000}, cr4=BY_DEFAULT).state
        assert state.fpu.xmm[0] == bytes.fromhex("00004040") + one[4:]


@pytest.mark.parametrize("code", ["0f 0d c0", "66 0f 0d c9", "0f 18 c0", "f3 0f 18 ff", "0f 19 c0", "0f 1f c7"])
def test_reserved_nops(cpu: CpuGuest, code: str) -> None:
    end = cpu.run(code)
    assert (end.vector, end.offset) == (None, len(code.split()) + 1)
