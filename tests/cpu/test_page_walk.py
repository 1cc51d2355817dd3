# SPDX-License-Identifier: GPL-2.0-or-later
"""The page walk beside the MMU of another engine: same tables, same access, same end."""

from __future__ import annotations

import struct
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperport.cpu.page_walk import translate
from hyperport.cpu.state import (
    CODE_32,
    DATA_32,
    SYSTEM_TSS_BUSY,
    CpuState,
    Segment,
    Table,
    protected_flat,
)
from hyperport.lines.attention import StopKind
from hyperport.memory.ram import GuestMemory

from ..conftest import MIB
from ..engines.board import Board

CODE, ON_GP, ON_PF, IDT, GDT, TSS, STACK = 0x1000, 0x2000, 0x2100, 0x3000, 0x4000, 0x5000, 0x8000
POINTERS, DIRECTORY, HIGH_DIRECTORY, TABLE = 0x10_0000, 0x10_1000, 0x10_2000, 0x10_3000
PAGE = 0x20_0000  # where the entries point
LINEAR: Final = 0x4040_5678
CR0_WP, CR0_PG, CR4_PSE, CR4_PAE, NXE = 1 << 16, 1 << 31, 1 << 4, 1 << 5, 1 << 11
STORE, USER = 2, 4
ACCESSED, LARGE, NX = 1 << 5, 1 << 7, 1 << 63
RPL3 = 3 << 13


def board() -> Board:
    """A ring-0 kernel of two HLTs, at the exits of #GP and #PF, under any paging."""
    made = Board("unicorn", 4 * MIB)
    for vector, handler in ((13, ON_GP), (14, ON_PF)):
        made.memory.write(handler, b"\xf4")
        made.memory.write(IDT + 8 * vector, struct.pack("<HHHH", handler, 8, 0x8E00, 0))
    made.memory.write(GDT + 8, struct.pack("<QQ", 0x00CF9B000000FFFF, 0x00CF93000000FFFF))
    made.memory.write(TSS + 4, struct.pack("<IH", STACK, 0x10))
    return made


def state_for(cr0: int, cr4: int, efer: int, access: int) -> CpuState:
    state = protected_flat(eip=CODE, code=8, data=0x10)
    state.cr0, state.cr4, state.efer = state.cr0 | cr0 | CR0_PG, cr4, efer
    state.cr3 = POINTERS if cr4 & CR4_PAE else DIRECTORY
    state.esp, state.gdtr, state.idtr = STACK, Table(GDT, 0x2F), Table(IDT, 0x7F)
    state.tr = Segment(0x28, TSS, 0x67, SYSTEM_TSS_BUSY)
    if access & USER:
        state.cs = Segment(0x1B, 0, 0xFFFFFFFF, CODE_32 | RPL3)
        state.ss = state.ds = Segment(0x23, 0, 0xFFFFFFFF, DATA_32 | RPL3)
    return state


def check(entries: dict[int, bytes], cr0: int, cr4: int, efer: int, access: int) -> None:
    """Make the access on the engine and with translate(), on equal tables."""
    made = board()
    try:
        for address, data in entries.items():
            made.memory.write(address, data)
        walked = GuestMemory(4 * MIB)
        walked.write(0, made.memory.read(0, 4 * MIB))
        opcode = 0xA3 if access & STORE else 0xA1  # mov moffs, eax; mov eax, moffs
        made.memory.write(CODE, struct.pack("<BIB", opcode, LINEAR, 0xF4))
        made.engine.set_state(state_for(cr0, cr4, efer, access))
        assert made.engine.run().kind == StopKind.HALT
        after = made.state()
        cr3 = POINTERS if cr4 & CR4_PAE else DIRECTORY
        physical, error = translate(walked, cr0 | CR0_PG, cr3, cr4, efer, LINEAR, access)
        if after.eip == ON_PF + 1:
            assert after.cr2 == LINEAR
            assert (physical, error) == (None, made.word(after.esp))
        else:
            assert error is None
            assert physical is not None
            for address, data in entries.items():
                assert made.memory.read(address, len(data)) == walked.read(address, len(data))
    finally:
        made.engine.close()


ENTRY = st.builds(
    int.__or__,
    st.sampled_from([7, 7, 5, 3, 1, 0]),  # present 1, writable 2, user 4
    st.sampled_from([0, 0x20, 0x60, 0x100]),  # accessed, dirty, global
)


@settings(max_examples=100, deadline=None)
@given(
    directory=ENTRY,
    large=st.sampled_from([0, LARGE, LARGE | 1 << 21]),
    page=ENTRY,
    wp=st.booleans(),
    pse=st.booleans(),
    access=st.sampled_from([0, STORE, USER, STORE | USER]),
)
def test_two_levels(directory: int, large: int, page: int, wp: bool, pse: bool, access: int) -> None:
    target = 0 if large and pse else TABLE
    entries = {
        DIRECTORY: struct.pack("<I", TABLE - 0x1000 | 7 | ACCESSED),
        DIRECTORY + 4 * (LINEAR >> 22): struct.pack("<I", target | large | directory),
        TABLE - 0x1000: struct.pack("<1024I", *(n << 12 | 0x67 for n in range(1024))),
        TABLE + 4 * (LINEAR >> 12 & 0x3FF): struct.pack("<I", PAGE | page),
    }
    check(entries, CR0_WP if wp else 0, CR4_PSE if pse else 0, 0, access)


@settings(max_examples=100, deadline=None)
@given(
    pointer=st.sampled_from([1, 1, 1, 0]),
    directory=ENTRY,
    large=st.sampled_from([0, LARGE]),
    page=ENTRY,
    high=st.sampled_from([0, 0, NX]),
    wp=st.booleans(),
    nxe=st.booleans(),
    access=st.sampled_from([0, STORE, USER, STORE | USER]),
)
def test_three_levels(
    pointer: int, directory: int, large: int, page: int, high: int, wp: bool, nxe: bool, access: int
) -> None:
    entries = {
        POINTERS: struct.pack("<QQ", DIRECTORY | 1, HIGH_DIRECTORY | pointer),
        DIRECTORY: struct.pack("<Q", 7 | LARGE | 0x60),
        HIGH_DIRECTORY + 8 * (LINEAR >> 21 & 0x1FF): struct.pack("<Q", (0 if large else TABLE) | large | directory),
        TABLE + 8 * (LINEAR >> 12 & 0x1FF): struct.pack("<Q", PAGE | page | high),
    }
    check(entries, CR0_WP if wp else 0, CR4_PAE, NXE if nxe else 0, access)


def test_paging_off_is_the_identity() -> None:
    assert translate(GuestMemory(MIB), 1, 0, 0, 0, 0xFFFF_FFFF, STORE | USER) == (0xFFFF_FFFF, None)


@pytest.mark.parametrize(("cr4", "expected"), [(CR4_PSE, (None, 9)), (0, (0xFFFFF234, None)), (CR4_PAE, (None, 9))])
def test_tables_outside_ram_float_high(cr4: int, expected: tuple[int | None, int | None]) -> None:
    assert translate(GuestMemory(MIB), CR0_PG, 0x4000_0000, cr4, 0, 0x1234, 0) == expected


def test_large_page_above_4_gib() -> None:
    memory = GuestMemory(MIB)
    memory.write(0x1000, struct.pack("<I", LARGE | 1 | 0x0F << 13 | 0x0040_0000))
    assert translate(memory, CR0_PG, 0x1000, CR4_PSE, 0, 0x2345)[0] == 0xF_0040_2345


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("cr4", [CR4_PSE, CR4_PSE | CR4_PAE])
def test_a_walk_that_nobody_notices_leaves_the_tables_as_they_are(cr4: int, large: bool) -> None:
    unseen = 1 << 30
    memory = GuestMemory(8 * MIB)
    size = 8 if cr4 & CR4_PAE else 4

    def entry(at: int, value: int) -> None:
        memory.write(at, value.to_bytes(size, "little"))

    pointers, directory, table = POINTERS, DIRECTORY, TABLE
    linear = 0x1234
    if cr4 & CR4_PAE:
        memory.write(pointers, (directory | 1).to_bytes(8, "little"))
    entry(directory, (0 | 1 | LARGE) if large else (table | 1))
    entry(table + (linear >> 12) * size, PAGE | 1)
    cr3 = pointers if cr4 & CR4_PAE else directory
    before = memory.read(POINTERS, 0x4000)
    found = translate(memory, CR0_PG, cr3, cr4, 0, linear, unseen)
    assert memory.read(POINTERS, 0x4000) == before
    assert (
        found == translate(memory, CR0_PG, cr3, cr4, 0, linear) == ((linear if large else PAGE | linear & 0xFFF), None)
    )
    assert memory.read(POINTERS, 0x4000) != before
