# SPDX-License-Identifier: GPL-2.0-or-later
"""Alignment checking: SDM vol. 3, table 6-7 (#AC)."""

from __future__ import annotations

import pytest

from ...conftest import machine_code
from .guest import GP, CpuGuest
from .test_system import PE

AC_VECTOR = 17
AC, AM, AT = 1 << 18, 1 << 18, 0x6000
ACCESSES = [
    ("8b 03 ; mov eax, [ebx]", 4),
    ("89 03 ; mov [ebx], eax", 4),
    ("66 01 03 ; add [ebx], ax", 2),
    ("8a 03 ; mov al, [ebx]", 1),
    ("f0 ff 03 ; lock inc dword [ebx]", 4),
    ("ff 33 ; push dword [ebx]", 4),
    ("89 de \n ad ; lodsd", 4),
    ("dd 03 ; fld qword [ebx]", 8),
    ("db 2b ; fld tbyte [ebx]", 8),
    ("db 3b ; fstp tbyte [ebx]", 8),
    ("d9 33 ; fnstenv [ebx]", 4),
    ("0f c7 0b ; cmpxchg8b [ebx]", 8),
    ("0f 7f 03 ; movq [ebx], mm0", 8),
]


@pytest.mark.parametrize(("access", "size"), ACCESSES)
def test_the_sizes_of_operands(cpu: CpuGuest, access: str, size: int) -> None:
    def run(offset: int, **changes: int) -> tuple[int | None, int, int]:
        options = {"eflags": AC, "ring": 3, "cr0": PE | AM, **changes}
        eflags, ring, cr0 = options["eflags"], options["ring"], options["cr0"]
        end = cpu.run(access, eflags=eflags, ring=ring, registers={"ebx": AT + offset, "cr0": cr0})
        return end.vector, end.error, end.offset

    last = len(machine_code(access)) - len(machine_code(access.split("\n")[-1]))
    refused = (AC_VECTOR, 0, last)
    for offset in (1, 2, 4):
        assert (run(offset) == refused) == (offset % size != 0)
    for changes in ({"eflags": 2}, {"ring": 0}, {"cr0": PE}):
        assert run(1, **changes)[0] in (None, GP)  # HLT at CPL 3


def test_who_is_never_aligned_is_gp_as_ever(cpu: CpuGuest) -> None:
    for offset, vector in ((0, GP), (4, GP), (8, GP)):  # HLT at CPL 3; MOVAPS itself
        end = cpu.run(
            "0f 28 03 ; movaps xmm0, [ebx]", eflags=AC, ring=3, registers={"ebx": AT + offset, "cr0": PE | AM}
        )
        assert (end.vector, end.offset) == (vector, 0 if offset else 3)


def test_the_kernel_reads_for_it(cpu: CpuGuest) -> None:
    # the descriptor table that a load of DS reads is nobody's operand
    end = cpu.run("66 b8 33 00 \n 8e d8 ; mov ds, ax", eflags=AC, ring=3, registers={"cr0": PE | AM})
    assert (end.vector, end.offset) == (GP, 6)


def test_cr0_am_changes_what_has_been_translated(cpu: CpuGuest) -> None:
    code = "8b 03"
    for cr0, vector in ((PE, GP), (PE | AM, AC_VECTOR), (PE, GP)):
        assert cpu.run(code, eflags=AC, ring=3, registers={"ebx": AT + 1, "cr0": cr0}).vector == vector
