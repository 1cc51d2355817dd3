# SPDX-License-Identifier: GPL-2.0-or-later
"""What an interrupt, an exception or a far transfer looks at before it is done: SDM vol. 2, CALL, RET, INT n, IRET (the
pseudocode); vol. 3, 6.13 (error codes), 17.3.1.5 (the trap flag of a task)."""

from __future__ import annotations

import struct
from typing import Final

import pytest

from ...conftest import machine_code
from .guest import CODE, DATA, DB, GP, IDT, SPARE, SS, STACK, START, CpuGuest, End, descriptor
from .test_segments import load

FLAT_CODE: Final = 0x10  # CS as the listing begins
TASK, TSS, NEW_TSS, TASK_STACK, TASK_CODE = 0x20, 0x5000, 0x5800, 0x7000, 0x10100
EIP, ESP, TRAP = 0x20, 0x38, 0x64  # in a TSS
IN_IDT, EXT = 2, 1
TOP_16 = STACK - 8  # the limit of a stack that has no room for a frame below STACK
CALL_FAR = f"9a {(START + 0x100).to_bytes(4, 'little').hex(' ')} {CODE:02x} 00 ; call far"
UD2 = "0f 0b ; ud2"


def put(address: int, value: int) -> str:
    return f"c7 05 {address.to_bytes(4, 'little').hex(' ')} {value.to_bytes(4, 'little').hex(' ')}\n"


def through_task(vector: int, kind: int = 0x8500) -> str:
    """Make the gate of this vector one to the task that with_task() describes."""
    return put(IDT + 8 * vector, TASK << 16) + put(IDT + 8 * vector + 4, kind)


def with_task(cpu: CpuGuest, trap: int = 0) -> dict[int, bytes]:
    """A task that halts at once, and its descriptor."""
    words = [0] * 26
    words[8], words[9], words[14] = TASK_CODE, 2, TASK_STACK
    for index in range(18, 24):
        words[index] = CODE if index == 19 else DATA
    words[25] = trap
    cpu.memory.write(NEW_TSS, struct.pack("<26I", *words))
    cpu.memory.write(TASK_CODE, b"\xf4")
    return {TASK: struct.pack("<HHBBBB", 0x67, NEW_TSS, 0, 0x89, 0, 0)}


def in_task(cpu: CpuGuest, end: End) -> tuple[int, int, int]:
    """EIP and ESP of the task that was left, and the error code."""
    assert end.eip == TASK_CODE + 1
    return cpu.word(TSS + EIP) - START, cpu.word(TSS + ESP), cpu.word(TASK_STACK - 4)


@pytest.mark.parametrize("code", ["cd 14", "66 cd 14", "f2 67 cd 14", "66 66 f3 cd 14"])
def test_a_refused_int_points_to_its_first_prefix(on_path: CpuGuest, code: str) -> None:
    end = on_path.run(code, ring=3)
    assert (end.vector, end.error, end.offset) == (GP, 0x14 * 8 + IN_IDT, 0)


@pytest.mark.parametrize(("code", "vector"), [("66 cc", 3), ("b0 7f \n fe c0 \n 66 ce ; into", 4)])
def test_prefixes_of_int3_and_into(cpu: CpuGuest, code: str, vector: int) -> None:
    end = cpu.run(code)
    assert (end.vector, end.offset) == (vector, len(machine_code(code)))


def test_a_task_gate_has_a_dpl(cpu: CpuGuest) -> None:
    segments = with_task(cpu)
    end = cpu.run(through_task(0x14) + "cd 14", ring=3, segments=segments)
    assert (end.vector, end.error) == (GP, 0x14 * 8 + IN_IDT)
    end = cpu.run(through_task(0x14, 0xE500) + "cd 14", ring=3, segments=segments)
    assert end.eip == TASK_CODE + 1
    end = cpu.run(through_task(6) + UD2, ring=3, segments=segments)  # an exception may go through any
    assert end.eip == TASK_CODE + 1


@pytest.mark.parametrize("code", ["cc ; int3", CALL_FAR], ids=["int3", "call"])
def test_a_frame_that_does_not_fit_its_stack(cpu: CpuGuest, code: str) -> None:
    start = through_task(SS) + load("ss", SPARE)
    end = cpu.run(start + code, segments={**with_task(cpu), SPARE: descriptor(0, TOP_16)})
    assert in_task(cpu, end) == (len(machine_code(start)), STACK, 0)


def test_a_frame_that_fits_just_so(cpu: CpuGuest) -> None:
    end = cpu.run(load("ss", SPARE) + "cc ; int3", segments={SPARE: descriptor(0, STACK - 1)})
    assert end.vector == 3


def test_the_frame_of_an_exception_does_not_fit(cpu: CpuGuest) -> None:
    # #UD, and in its place #SS with EXT: the exception was no INT n
    start = through_task(SS) + load("ss", SPARE)
    end = cpu.run(start + UD2, segments={**with_task(cpu), SPARE: descriptor(0, TOP_16)})
    assert in_task(cpu, end) == (len(machine_code(start)), STACK, EXT)


def test_the_stack_of_an_inner_ring_is_too_small(cpu: CpuGuest) -> None:
    start = through_task(SS) + put(TSS + 8, SPARE)
    end = cpu.run(start + UD2, ring=3, segments={**with_task(cpu), SPARE: descriptor(0, TOP_16)})
    assert in_task(cpu, end) == (len(machine_code(start)), STACK, SPARE | EXT)


def test_a_frame_wraps_around_in_a_16_bit_stack(cpu: CpuGuest) -> None:
    start = load("ss", SPARE) + "66 bc 04 00 ; mov sp, 4\n"
    end = cpu.run(start + "cc", segments={SPARE: descriptor(0, 0xFFFF, big=False)})
    assert cpu.word(0) == 2  # EFLAGS, and the rest at the other end
    assert cpu.word(0xFFF8) == START + len(machine_code(start)) + 1
    assert end.vector == 3


BEYOND = {SPARE: descriptor(START, 0xFFF, 0x9B)}
PUSH_TARGET = f"6a {SPARE:02x} \n 68 00 20 00 00 ; push selector, offset\n"


@pytest.mark.parametrize(("pushes", "code"), [("9c ; pushfd\n", "cf ; iretd"), ("", "cb ; retf")], ids=["iret", "retf"])
def test_a_return_beyond_its_segment_faults_itself(cpu: CpuGuest, pushes: str, code: str) -> None:
    start = pushes + PUSH_TARGET
    end = cpu.run("f9 ; stc\n" + start + code, segments=BEYOND)
    assert (end.vector, end.error, end.offset) == (GP, 0, 1 + len(machine_code(start)))
    assert end.eflags & 1
    frame = [cpu.word(end.state.esp + 4 * i) for i in range(5)]
    assert frame[3] == FLAT_CODE
    assert end.state.esp + 20 == STACK - 4 * (2 + bool(pushes))


def test_a_handler_beyond_its_segment(cpu: CpuGuest) -> None:
    gate = put(IDT + 8 * 6, SPARE << 16 | 0x2000) + put(IDT + 8 * 6 + 4, 0x8E00)
    end = cpu.run(gate + UD2, segments=BEYOND)
    assert (end.vector, end.error, end.offset) == (GP, EXT, len(machine_code(gate)))


@pytest.mark.parametrize("code", [f"ea 00 00 00 00 {TASK:02x} 00 ; jmp", f"9a 00 00 00 00 {TASK:02x} 00 ; call"])
def test_the_trap_flag_of_a_task(cpu: CpuGuest, code: str) -> None:
    end = cpu.run(code, segments=with_task(cpu, trap=1))
    assert (end.vector, end.eip) == (DB, TASK_CODE)
    assert end.state.dr6 & 0xE00F == 1 << 15
    assert cpu.run(code, segments=with_task(cpu)).vector is None


def test_the_trap_flag_of_a_task_behind_a_gate(cpu: CpuGuest) -> None:
    end = cpu.run(through_task(6) + UD2, segments=with_task(cpu, trap=1))
    assert (end.vector, end.eip) == (DB, TASK_CODE)
