# SPDX-License-Identifier: GPL-2.0-or-later
"""Blocks that lead into each other: linked before they run, and never past a check that other segments need."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from .guest import DATA, GP, START, CpuGuest

HEADER = 192  # the core's record of a block, up to its code
CODE, LEADS_TO, FLAGS = 32, 136, 16  # fields of it
LOOP = "49 75 fd ; dec ecx; jnz -3"
TABLE = 0x9000


def code_buffers() -> Iterator[tuple[int, int]]:
    """Where translated code of this process is: what the core has, and nobody else."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, access = line.split()[:2]
        if access == "rwxp":
            first, end = (int(part, 16) for part in span.split("-"))
            yield first, end


def blocks(eip: int) -> list[tuple[int, int, int]]:
    """Every block that was translated of the code there: its record's address, and where its two ways out lead."""
    found = []
    for first, _ in code_buffers():
        held = ctypes.string_at(first, 0x10000)
        for at in range(0, len(held) - HEADER, 64):
            pc, base, *_ = struct.unpack_from("<QQ", held, at)
            if (pc, base) == (eip, 0) and struct.unpack_from("<Q", held, at + CODE)[0] == first + at + HEADER:
                found.append((first + at, *struct.unpack_from("<QQ", held, at + LEADS_TO)))
    return found


def test_a_loop_is_linked_to_itself_before_its_second_round(cpu: CpuGuest) -> None:
    """It is never taken here, so the core itself had no reason to."""
    cpu.run("b9 01 00 00 00 ; mov ecx, 1\n eb 00 ; jmp +0\n" + LOOP)
    ((record, _, taken),) = blocks(START + 7)
    assert taken == record


def test_a_block_is_linked_to_one_that_has_run(cpu: CpuGuest) -> None:
    """ecx: 2; the block behind the JMP leads back to the one before it, which is known by then."""
    cpu.run(
        "b9 02 00 00 00 eb 00 ; mov ecx, 2; jmp\n 90 eb 00 ; nop; jmp +0\n 49 74 02 ; dec ecx; jz +2\n eb f8 ; jmp -8"
    )
    ((loop, _, _),) = blocks(START + 7)
    assert [leads for leads in blocks(START + 13) if loop in leads[1:]]


def test_the_shadow_of_sti_is_left_to_the_core(cpu: CpuGuest) -> None:
    cpu.run("b9 01 00 00 00 ; mov ecx, 1\n fb ; sti\n e2 fe ; loop -2\n")
    shadowed = blocks(START + 6)
    assert shadowed
    assert all(record not in ways for record, *ways in shadowed)


def test_a_loop_that_changes_itself(cpu: CpuGuest) -> None:
    """The block that is linked to itself makes itself invalid: the count in BL stops."""
    listing = """\
        b9 05 00 00 00          ; mov ecx, 5
        31 db                   ; xor ebx, ebx
        eb 00                   ; jmp +0
        43                      ; inc ebx           START + 9
        83 f9 03                ; cmp ecx, 3
        75 07                   ; jnz +7
        c6 05 09 00 01 00 90    ; mov byte [START + 9], NOP
        49                      ; dec ecx
        75 f0                   ; jnz START + 9
        """
    assert cpu.run(listing).state.ebx == 3


@pytest.mark.parametrize(
    "to_the_access", ["eb 00 ; jmp +0", "85 c9 75 00 ; test ecx, ecx; jnz +0", "e8 00 00 00 00 58 ; call +0"]
)
@pytest.mark.parametrize(("segment", "override", "load"), [("fs", "64", "8e 26"), ("gs", "65", "8e 2e")])
def test_a_segment_that_becomes_null_in_a_loop(
    cpu: CpuGuest, to_the_access: str, segment: str, override: str, load: str
) -> None:
    """The block with the access is known as one without a check; it must not be entered with a null selector."""
    cpu.memory.write(TABLE, struct.pack("<4H", DATA, DATA, DATA, 0))
    before = f"""\
        b9 06 00 00 00 be 00 90 00 00 ; mov ecx, 6; mov esi, TABLE
        {load} 8d 76 02 ; mov {segment}, [esi]; lea esi, [esi+2]
        """
    access = f"{override} a1 00 50 00 00 ; mov eax, {segment}:[5000h]\n"
    length = 5 + len(bytes.fromhex(to_the_access.split(";")[0])) + 6 + 3
    end = cpu.run(before + to_the_access + "\n" + access + f"49 75 {-length & 0xFF:02x} ; dec ecx; jnz\n")
    assert (end.vector, end.state.esi) == (GP, TABLE + 8)
