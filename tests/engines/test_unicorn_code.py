# SPDX-License-Identifier: GPL-2.0-or-later
"""Code that changes, by several addresses, page tables and modes: what was translated of it before is not run again."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from hyperport.cpu.state import Table, protected_flat
from hyperport.outcome import GuestExit

from ..conftest import LIMIT_S, MIB, flat_guest, machine_code
from .board import START, Board

GDT: Final = 0x6000
FLAT, OTHER = 0x10, 0x20  # selectors of code segments
TABLES: Final = 0x10000  # page tables under PAE, a page for each level
CODE, CHANGED = 0x3000, 0x4000  # functions
SECOND = 0x800  # and where in CODE another one is
ALIAS: Final = 0x1F0000  # a second address of the page of CODE
PRESENT, WRITABLE, NO_EXECUTE = 1, 2, 1 << 63
FUNCTION = b"\xb8\x01\x00\x00\x00\xc3"  # mov eax, 1; ret
PAGING = """\
    bc 00 08 00 00                       ; mov    esp, 0x800
    b8 20 00 00 00                       ; mov    eax, 0x20         PAE
    0f 22 e0                             ; mov    cr4, eax
    b9 80 00 00 c0                       ; mov    ecx, 0xc0000080   EFER
    0f 32                                ; rdmsr
    0d 00 08 00 00                       ; or     eax, 0x800        NXE
    0f 30                                ; wrmsr
    b8 00 00 01 00                       ; mov    eax, 0x10000
    0f 22 d8                             ; mov    cr3, eax
    0f 20 c0                             ; mov    eax, cr0
    0d 00 00 01 80                       ; or     eax, 0x80010000   PG, WP
    0f 22 c0                             ; mov    cr0, eax
    """


@pytest.fixture
def board() -> Iterator[Board]:
    made = Board(memory=2 * MIB)
    yield made
    made.engine.close()


@pytest.fixture
def paged(board: Board) -> Board:
    """Tables for PAGING: 2 MiB are mapped to themselves, but ALIAS to CODE; functions that return 1 and 2."""
    board.memory.write(TABLES, struct.pack("<4Q", TABLES + 0x1000 | PRESENT, 0, 0, 0))
    board.memory.write(TABLES + 0x1000, struct.pack("<Q", TABLES + 0x2000 | PRESENT | WRITABLE))
    board.memory.write(TABLES + 0x2000, struct.pack("<512Q", *(page << 12 | PRESENT | WRITABLE for page in range(512))))
    map_alias(board, CODE | PRESENT | WRITABLE)
    board.memory.write(CODE, FUNCTION)
    board.memory.write(CODE + SECOND, FUNCTION)
    board.memory.write(CHANGED, FUNCTION.replace(b"\x01", b"\x02"))
    return board


def map_alias(board: Board, entry: int) -> None:
    board.memory.write(TABLES + 0x2000 + 8 * (ALIAS >> 12), struct.pack("<Q", entry))


def code_segment(base: int, *, big: bool) -> bytes:
    return struct.pack("<HHBBBB", 0xFFFF, base & 0xFFFF, base >> 16, 0x9B, 0x8F | 0x40 * big, 0)


def with_segments(board: Board, other: bytes, listing: str) -> Any:
    """Run a listing with a second code segment; the registers at its end."""
    data = struct.pack("<HHBBBB", 0xFFFF, 0, 0, 0x93, 0xCF, 0)
    board.memory.write(GDT, bytes(FLAT) + code_segment(0, big=True) + data + other)
    board.memory.write(START, machine_code(listing))
    board.engine.set_state(protected_flat(eip=START, gdtr=Table(GDT, OTHER + 7)))
    board.engine.run()
    return board.state()


@pytest.mark.parametrize("executable", [True, False])
def test_two_stores_by_an_alias(paged: Board, executable: bool) -> None:
    """The first must not make the next ones fast, also where the alias itself is not executable."""
    map_alias(paged, CODE | PRESENT | WRITABLE | (0 if executable else NO_EXECUTE))
    paged.protected(
        PAGING
        + """\
    c6 05 00 01 1f 00 00                 ; mov    byte [0x1f0100], 0    fast: there is no code yet
    be 00 30 00 00                       ; mov    esi, 0x3000
    ff d6                                ; call   esi
    bf 00 38 00 00                       ; mov    edi, 0x3800
    ff d7                                ; call   edi
    c6 05 01 00 1f 00 02                 ; mov    byte [0x1f0001], 2
    c6 05 01 08 1f 00 03                 ; mov    byte [0x1f0801], 3
    ff d6                                ; call   esi
    89 c3                                ; mov    ebx, eax
    ff d7                                ; call   edi
    f4                                   ; hlt
    """
    )
    assert (paged.state().ebx, paged.state().eax) == (2, 3)


def test_a_page_that_is_mapped_elsewhere(paged: Board) -> None:
    """By INVLPG and by a load of CR3, and back, three times."""
    paged.protected(
        PAGING
        + """\
    be 00 00 1f 00                       ; mov    esi, 0x1f0000
    bd 03 00 00 00                       ; mov    ebp, 3
    ff d6                                ; call   esi
    c1 e3 04                             ; shl    ebx, 4
    01 c3                                ; add    ebx, eax
    c7 05 80 2f 01 00 03 40 00 00        ; mov    dword [0x12f80], 0x4003
    0f 01 3e                             ; invlpg [esi]
    ff d6                                ; call   esi
    c1 e3 04                             ; shl    ebx, 4
    01 c3                                ; add    ebx, eax
    c7 05 80 2f 01 00 03 30 00 00        ; mov    dword [0x12f80], 0x3003
    0f 20 d8                             ; mov    eax, cr3
    0f 22 d8                             ; mov    cr3, eax
    4d                                   ; dec    ebp
    75 d2                                ; jne    the first call
    f4                                   ; hlt
    """
    )
    assert paged.state().ebx == 0x121212


def test_a_page_that_is_no_longer_there(paged: Board) -> None:
    """A call of it, known well by then, is a page fault; without a handler, the end."""
    stop = paged.protected(
        PAGING
        + """\
    be 00 00 1f 00                       ; mov    esi, 0x1f0000
    ff d6                                ; call   esi
    ff d6                                ; call   esi
    c7 05 80 2f 01 00 02 30 00 00        ; mov    dword [0x12f80], 0x3002
    0f 01 3e                             ; invlpg [esi]
    31 c0                                ; xor    eax, eax
    ff d6                                ; call   esi
    f4                                   ; hlt
    """
    )
    assert stop.kind.name == "TRIPLE_FAULT"
    assert paged.state().eax == 0


def test_a_function_that_is_changed_between_its_calls(board: Board) -> None:
    board.memory.write(CODE, FUNCTION)
    board.protected("""\
    bc 00 08 00 00                       ; mov    esp, 0x800
    be 00 30 00 00                       ; mov    esi, 0x3000
    b9 64 00 00 00                       ; mov    ecx, 100
    ff d6                                ; call   esi
    01 c3                                ; add    ebx, eax
    fe 05 01 30 00 00                    ; inc    byte [0x3001]
    ff d6                                ; call   esi
    01 c3                                ; add    ebx, eax
    49                                   ; dec    ecx
    75 ef                                ; jne    the first call
    f4                                   ; hlt
    """)
    assert board.state().ebx == sum(n + n + 1 for n in range(1, 101))


def test_a_function_that_the_host_changes_between_runs(board: Board) -> None:
    listing = """\
    bc 00 08 00 00                       ; mov    esp, 0x800
    be 00 30 00 00                       ; mov    esi, 0x3000
    ff d6                                ; call   esi
    ff d6                                ; call   esi
    f4                                   ; hlt
    """
    for number in range(1, 6):
        board.memory.write(CODE, FUNCTION.replace(b"\x01", bytes([number])))
        board.protected(listing)
        assert board.state().eax == number


def test_one_place_under_two_bases_of_cs(board: Board) -> None:
    board.memory.write(CODE, machine_code("e8 00 00 00 00 58 cb ; call the next; pop eax; retf"))
    state = with_segments(
        board,
        code_segment(0x1000, big=True),
        """\
    bc 00 08 00 00                       ; mov    esp, 0x800
    bd 03 00 00 00                       ; mov    ebp, 3
    9a 00 30 00 00 10 00                 ; call   0x10:0x3000
    89 c3                                ; mov    ebx, eax
    9a 00 20 00 00 20 00                 ; call   0x20:0x2000
    89 c1                                ; mov    ecx, eax
    4d                                   ; dec    ebp
    75 eb                                ; jne    the first call
    f4                                   ; hlt
    """,
    )
    assert (state.ebx, state.ecx) == (0x3005, 0x2005)


def test_one_place_as_code_of_16_and_32_bits(board: Board) -> None:
    """98 is CBW or CWDE; what follows jumps by [edi] in 32-bit code and by [bx] in 16-bit code."""
    board.memory.write(CODE, machine_code("98 ff 2f ; cwde; jmp far [edi]"))
    board.memory.write(0x5004, struct.pack("<H", FLAT))
    state = with_segments(
        board,
        code_segment(0, big=False),
        """\
    bd 03 00 00 00                       ; mov    ebp, 3
    bf 00 50 00 00                       ; mov    edi, 0x5000
    bb 10 50 00 00                       ; mov    ebx, 0x5010
    c7 07 27 10 00 00                    ; mov    dword [edi], 0x1027       the first return
    c7 03 27 10 10 00                    ; mov    dword [ebx], 0x101027
    b8 80 00 00 00                       ; mov    eax, 0x80
    ea 00 30 00 00 10 00                 ; jmp    0x10:0x3000
    89 c1                                ; mov    ecx, eax
    c7 07 41 10 00 00                    ; mov    dword [edi], 0x1041       the second
    c7 03 41 10 10 00                    ; mov    dword [ebx], 0x101041
    b8 80 00 00 00                       ; mov    eax, 0x80
    ea 00 30 00 00 20 00                 ; jmp    0x20:0x3000
    89 c2                                ; mov    edx, eax
    4d                                   ; dec    ebp
    75 c9                                ; jne    the first store
    f4                                   ; hlt
    """,
    )
    assert (state.ecx, state.edx) == (0x80, 0xFF80)


def test_a_loop_sees_its_new_code_when_its_page_has_counted_as_data(tmp_path: Path) -> None:
    """More stores than the TLB and its victims hold: the page's code is dropped while the loop, one block, runs."""
    listing = """\
        31 c9                ; xor ecx, ecx
        bb 08 00 01 00       ; mov ebx, 0x10008    the operand of MOV AL
        b0 01                ; 1: mov al, 1
        bf 00 08 01 00       ; mov edi, 0x10800    data in the page of the code
        83 f9 3c             ; cmp ecx, 60
        0f 44 fb             ; cmove edi, ebx
        88 0f                ; mov [edi], cl
        """
    listing += "".join(f"88 0d 00 08 {row}1 00 ; mov [0x{row}10800], cl\n" for row in "123456789a")
    listing += """\
        41                   ; inc ecx
        83 f9 64             ; cmp ecx, 100
        72 af                ; jb 1b
        e6 f4                ; out 0xf4, al
        """
    with flat_guest(tmp_path, listing, memory=16 * MIB) as machine:
        assert machine.run(timeout=LIMIT_S) == GuestExit(60)
