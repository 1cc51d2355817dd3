# SPDX-License-Identifier: GPL-2.0-or-later
"""Segment protection: SDM vol. 3, 5.3 (limits), 5.4 (null selectors), 5.5 (types); vol. 2, the #GP and #SS of each."""

from __future__ import annotations

import struct

import pytest

from hyperport.cpu.state import real_mode
from hyperport.lines.attention import StopKind

from ...conftest import machine_code
from .guest import DATA, GP, NP, SPARE, SS, CpuGuest, descriptor

BASE = 0x6000
LOADS = {"es": "8e c0", "ss": "8e d0", "ds": "8e d8", "fs": "8e e0", "gs": "8e e8"}
OVERRIDE = {"es": "26", "ss": "36", "ds": "3e", "fs": "64", "gs": "65"}
LIMIT_15 = {SPARE: descriptor(BASE, 15)}
READ_ONLY, EXECUTE_ONLY, READABLE_CODE, DOWN = 0x91, 0x99, 0x9B, 0x97


def load(segment: str, selector: int) -> str:
    return f"66 b8 {selector:02x} 00 ; mov ax, {selector:#x}\n {LOADS[segment]} ; mov {segment}, ax\n"


@pytest.mark.parametrize("segment", OVERRIDE)
@pytest.mark.parametrize(
    ("access", "last"),
    [
        ("8a 05 {at} ; mov al, [at]", 15),
        ("88 05 {at}", 15),
        ("66 8b 05 {at} ; mov ax, [at]", 14),
        ("8b 05 {at} ; mov eax, [at]", 12),
        ("01 05 {at} ; add [at], eax", 12),
        ("f0 01 05 {at} ; lock add [at], eax", 12),
        ("ff 35 {at} ; push dword [at]", 12),
        ("dd 05 {at} ; fld qword [at]", 8),
        ("db 2d {at} ; fld tbyte [at]", 6),
        ("0f c7 0d {at} ; cmpxchg8b [at]", 8),
        ("0f 10 05 {at} ; movups xmm0, [at]", 0),
        ("67 8b 06 {short} ; mov eax, [at], 16-bit address", 12),
    ],
)
def test_the_limit_is_the_last_byte(cpu: CpuGuest, segment: str, access: str, last: int) -> None:
    first = 0 if segment != "ss" else 0x8FF0  # the stack that the handler uses must fit, too
    segments = {SPARE: descriptor(0 if first else BASE, first + 15)}
    start = load(segment, SPARE)
    for at, wanted in ((first + last, None), (first + last + 1, SS if segment == "ss" else GP)):
        operand = {"at": at.to_bytes(4, "little").hex(" "), "short": at.to_bytes(2, "little").hex(" ")}
        code = start + f"{OVERRIDE[segment]} {access.format(**operand)}"
        end = cpu.run(code, segments=segments)
        assert end.vector == wanted
        assert wanted is None or (end.offset, end.error) == (len(machine_code(start)), 0)


@pytest.mark.parametrize("segment", ["es", "ds", "fs", "gs"])
def test_a_null_selector_is_loaded_and_not_used(on_path: CpuGuest, segment: str) -> None:
    start = load(segment, 0)
    assert on_path.vector(start) is None
    for access in ("8a 03 ; mov al, [ebx]", "88 03"):
        end = on_path.run(start + f"{OVERRIDE[segment]} {access}", registers={"ebx": BASE})
        assert (end.vector, end.error, end.offset) == (GP, 0, len(machine_code(start)))


def test_a_null_gs_in_ring_3_and_behind_it(cpu: CpuGuest) -> None:
    for ring in (3, 0, 3):
        end = cpu.run(load("gs", 0) + "65 8a 03", ring=ring, registers={"ebx": BASE})
        assert (end.vector, end.offset) == (GP, 6)


@pytest.mark.parametrize("big", [True, False])
def test_read_only_and_execute_only(cpu: CpuGuest, big: bool) -> None:
    readable = {SPARE: descriptor(BASE, 0xFFF, READ_ONLY, big=big)}
    assert cpu.vector(load("es", SPARE) + "26 8a 05 00 00 00 00", segments=readable) is None
    assert cpu.vector(load("es", SPARE) + "26 88 05 00 00 00 00", segments=readable) == GP
    end = cpu.run(load("es", SPARE), segments={SPARE: descriptor(0, access=EXECUTE_ONLY)})
    assert (end.vector, end.error) == (GP, SPARE)
    code = {SPARE: descriptor(BASE, 0xFFF, READABLE_CODE)}
    assert cpu.vector(load("es", SPARE) + "26 8a 05 00 00 00 00", segments=code) is None
    assert cpu.vector(load("es", SPARE) + "26 88 05 00 00 00 00", segments=code) == GP


def test_flat_segments_of_one_kind_only_let_that_through(cpu: CpuGuest) -> None:
    flat = {SPARE: descriptor(access=READ_ONLY)}
    assert cpu.vector(load("ds", SPARE) + "8a 03", segments=flat, registers={"ebx": BASE}) is None
    assert cpu.vector(load("ds", SPARE) + "88 03", segments=flat, registers={"ebx": BASE}) == GP


def test_code_segments_are_not_written(cpu: CpuGuest) -> None:
    assert cpu.vector("2e 8a 03 ; mov al, [cs:ebx]", registers={"ebx": BASE}) is None
    assert cpu.vector("2e 88 03 ; mov [cs:ebx], al", registers={"ebx": BASE}) == GP


@pytest.mark.parametrize(("big", "last"), [(True, 0xFFFFFFFF), (False, 0xFFFF)])
def test_expand_down(cpu: CpuGuest, big: bool, last: int) -> None:
    segments = {SPARE: descriptor(0, 0x6FFF, DOWN, big=big)}
    for offset, wanted in ((0x6FFF, GP), (0x7000, None), (last & 0xFFFFF if big else last, None)):
        end = cpu.run(load("fs", SPARE) + "64 8a 03", segments=segments, registers={"ebx": offset})
        assert end.vector == wanted, hex(offset)
    end = cpu.run(load("fs", SPARE) + "64 66 8b 03 ; mov ax, [fs:ebx]", segments=segments, registers={"ebx": 0xFFFF})
    assert end.vector == (None if big else GP)


def test_the_stack_is_ss(cpu: CpuGuest) -> None:
    segments = {SPARE: descriptor(0, 0x8FFF)}
    for access in ("8b 45 00 ; mov eax, [ebp]", "89 45 00", "8b 04 2c ; mov eax, [esp+ebp]"):
        at = 0x8FFE - (0x8000 if "2c" in access else 0)
        assert cpu.vector(load("ss", SPARE) + access, segments=segments, registers={"ebp": at}) == SS


def test_selectors_that_cannot_be_loaded(cpu: CpuGuest) -> None:
    end = cpu.run(load("fs", SPARE), segments={SPARE: descriptor(access=0x13)})
    assert (end.vector, end.error) == (NP, SPARE)
    end = cpu.run("66 b8 00 02 \n 8e e0 ; mov fs, ax")
    assert (end.vector, end.error) == (GP, 0x200)


@pytest.mark.parametrize("code", ["6c ; insb", "f3 6c ; rep insb", "6d ; insd", "f3 66 6d ; rep insw"])
@pytest.mark.parametrize("kind", ["limit", "null", "read-only"])
def test_ins_is_checked_on_all_paths(on_path: CpuGuest, code: str, kind: str) -> None:
    selector = 0 if kind == "null" else SPARE
    segments = {SPARE: descriptor(BASE, 15, READ_ONLY if kind == "read-only" else 0x93)}
    start = load("es", selector)
    registers = {"edi": 16 if kind == "limit" else 0, "ecx": 3, "edx": 0x99}
    end = on_path.run(start + code, segments=segments, registers=registers)
    assert (end.vector, end.error, end.offset) == (GP, 0, len(machine_code(start)))
    assert (end.state.ecx, end.state.edi) == (3, registers["edi"])
    assert not list(on_path.bus.counts())


def test_a_string_stops_at_the_limit(on_path: CpuGuest) -> None:
    registers = {"edi": 12, "ecx": 8, "edx": 0x99}
    end = on_path.run(load("es", SPARE) + "f3 6c ; rep insb", segments=LIMIT_15, registers=registers)
    assert (end.vector, end.state.ecx, end.state.edi) == (GP, 4, 16)
    assert [count.accesses for count in on_path.bus.counts()] == [4]
    registers = {"esi": 12, "ecx": 8, "edx": 0x99}
    end = on_path.run(load("ds", SPARE) + "f3 6e ; rep outsb", segments=LIMIT_15, registers=registers)
    assert (end.vector, end.state.ecx, end.state.esi) == (GP, 4, 16)
    assert on_path.vector(load("es", 0) + "f3 6c", registers={"ecx": 0}) is None


@pytest.mark.parametrize("count", [1, 3])
def test_outs_by_a_null_gs(on_path: CpuGuest, count: int) -> None:
    start = load("gs", 0)
    end = on_path.run(start + "65 f3 6e ; rep gs outsb", registers={"esi": 0x6000, "ecx": count, "edx": 0x99})
    assert (end.vector, end.error, end.offset) == (GP, 0, len(machine_code(start)))
    assert (end.state.ecx, end.state.esi) == (count, 0x6000)
    assert not list(on_path.bus.counts())


def test_movs_is_checked_in_both_segments(cpu: CpuGuest) -> None:
    registers = {"esi": 0x7000, "edi": 14, "ecx": 8}
    end = cpu.run(load("es", SPARE) + "f3 a4 ; rep movsb", segments=LIMIT_15, registers=registers)
    assert (end.vector, end.state.ecx, end.state.edi) == (GP, 6, 16)
    registers = {"esi": 14, "edi": 0x7000, "ecx": 8}
    end = cpu.run(load("ds", SPARE) + "f3 a4", segments=LIMIT_15, registers=registers)
    assert (end.vector, end.state.ecx, end.state.esi) == (GP, 6, 16)


def test_code_ends_at_its_limit(cpu: CpuGuest) -> None:
    # far jump into a code segment of 8 bytes: six NOPs, then an instruction of which the last byte is beyond it
    cpu.memory.write(BASE, b"\x90" * 6 + b"\xb8\x01\x02\x03\x04\xf4")
    jump = f"ea 00 00 00 00 {SPARE:02x} 00 ; jmp far"
    for limit in (7, 9):
        end = cpu.run(jump, segments={SPARE: descriptor(BASE, limit, READABLE_CODE)})
        assert (end.vector, end.error, end.eip) == (GP, 0, 6)
    cpu.run(jump, segments={SPARE: descriptor(BASE, 11, READABLE_CODE)})
    assert cpu.engine.state().eip == 12
    end = cpu.run(jump, segments={SPARE: descriptor(BASE, 7, READABLE_CODE)})  # the same base with another limit again
    assert (end.vector, end.eip) == (GP, 6)


def test_code_segments_of_many_bases_and_limits(cpu: CpuGuest) -> None:
    """More than the engine remembers; each base comes again with the same limit, and then with another."""
    places, many = 0x20000, 250
    cpu.memory.write(places, b"\x90" * (16 * many + 64))
    jump = f"ea 00 00 00 00 {SPARE:02x} 00 ; jmp far"
    for change in (0, 0, 1, 0):
        for number in range(many):
            limit = 8 + (number + change) % 5
            end = cpu.run(jump, segments={SPARE: descriptor(places + 16 * number, limit, READABLE_CODE)})
            assert (end.vector, end.error, end.eip) == (GP, 0, limit + 1)


def test_checks_end_with_the_segment(cpu: CpuGuest) -> None:
    back = load("es", DATA)
    code = load("es", SPARE) + "26 88 05 0f 00 00 00 \n" + back + "26 88 05 10 00 00 00 \n 88 05 10 00 00 00"
    assert cpu.vector(code, segments=LIMIT_15) is None


@pytest.mark.parametrize("io", ["read", "write"])
def test_real_mode_has_64_kib(cpu: CpuGuest, io: str) -> None:
    listing = {"read": "67 8b 03 ; mov ax, [ebx]", "write": "67 89 03"}[io]
    for offset, wanted in ((0xFFFE, 0), (0xFFFF, 1), (0x10000, 1)):
        cpu.memory.write(4 * GP, (0x800).to_bytes(4, "little"))
        cpu.memory.write(0x500, bytes(2))
        cpu.memory.write(0x800, machine_code("ff 06 00 05 ; inc word [0x500]\n f4"))
        cpu.memory.write(0x10000 - 0x8000, machine_code(listing + "\n f4"))
        state = real_mode(cs=0, ip=0x8000, sp=0x7000)
        state.ebx = offset
        cpu.engine.set_state(state)
        assert cpu.engine.run().kind == StopKind.HALT
        assert struct.unpack("<H", cpu.memory.read(0x500, 2)) == (wanted,), hex(offset)
