# SPDX-License-Identifier: GPL-2.0-or-later
"""The Unicorn engine, a few instructions at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperport.cpu.state import CpuState, Segment, Table, protected_flat
from hyperport.engines.unicorn import check
from hyperport.engines.unicorn.library import library_path
from hyperport.engines.unicorn.selftest import self_test
from hyperport.errors import ConfigError, EngineError
from hyperport.lines.attention import StopKind
from hyperport.memory.ram import GuestMemory

from ..conftest import LIMIT_S, MIB, machine_code
from .board import START, VECTOR_BASE, Board

RAM = 2 * MIB
ONES = 0xFFFFFFFF


@pytest.fixture
def board() -> Iterator[Board]:
    made = Board(memory=RAM)
    yield made
    made.engine.close()


# The library.


def test_self_test_passes() -> None:
    self_test()
    assert [each.ok for each in check()] == [True, True]


def test_another_version_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "is_dir", lambda self: False)  # the folder of the right version is not there
    monkeypatch.setattr(metadata, "version", lambda name: "2.1.3")
    with pytest.raises(EngineError, match=r"unicorn 2\.1\.3 is installed; .* pip install unicorn==2\.1\.4$"):
        library_path()
    (failed,) = check()
    assert not failed.ok
    assert "unicorn==2.1.4" in failed.detail


# Ports.


@pytest.mark.parametrize(
    ("instruction", "eax"),
    [
        ("e4 99      ; in al, 0x99", 0x112233FF),
        ("66 e5 99   ; in ax, 0x99", 0x1122FFFF),
        ("e5 99      ; in eax, 0x99", ONES),
        ("ec         ; in al, dx", 0x112233FF),
        ("66 ed      ; in ax, dx", 0x1122FFFF),
        ("ed         ; in eax, dx", ONES),
    ],
)
def test_in_changes_its_part_of_eax_only(board: Board, instruction: str, eax: int) -> None:
    stop = board.protected(f"""\
        b8 44 33 22 11 ; mov eax, 0x11223344
        66 ba 99 00    ; mov dx, 0x99
        f9             ; stc
        {instruction}
        f4             ; hlt
        """)
    state = board.state()
    assert stop.kind == StopKind.HALT
    assert (state.eax, state.edx, state.eflags & 0x8D5) == (eax, 0x99, 1)


def test_port_number_is_16_bits_of_edx(board: Board) -> None:
    board.protected("""\
        ba 99 00 34 12 ; mov edx, 0x12340099
        ee             ; out dx, al
        f4             ; hlt
        """)
    assert [count.port for count in board.bus.counts()] == [0x99]


# Memory.


def test_code_that_the_host_writes_again_and_again(board: Board) -> None:
    for inc, register in ((0x41, "ecx"), (0x42, "edx"), (0x43, "ebx"), (0x45, "ebp")):
        board.protected(f"{inc:02x} f4 ; inc {register}; hlt")
        assert getattr(board.state(), register) == 1


@pytest.mark.parametrize("address", [0xA0000, 0xB7FFC, RAM, 0x80000000, 0xFEE00000, 0xFFFFFFFC])
def test_where_no_ram_is(board: Board, address: int) -> None:
    where = address.to_bytes(4, "little").hex(" ")
    stop = board.protected(f"""\
        a1 {where}              ; mov eax, [address]
        c7 05 {where} 78 56 34 12 ; mov dword [address], 0x12345678
        8b 1d {where}           ; mov ebx, [address]
        f4                      ; hlt
        """)
    state = board.state()
    assert (stop.kind, state.eax, state.ebx) == (StopKind.HALT, ONES, ONES)
    assert board.engine.counters().mmio >= 3
    assert board.memory.read(0xA0000, 0x18000) == bytes(0x18000)


@pytest.mark.parametrize("address", [0xB8000, 0xB8F9C, 0xBFFFC, 0xC0000])
def test_text_memory_is_ram(board: Board, address: int) -> None:
    where = address.to_bytes(4, "little").hex(" ")
    board.protected(f"""\
        c7 05 {where} 41 07 42 07 ; mov dword [address], 0x07420741
        a1 {where}              ; mov eax, [address]
        f4                      ; hlt
        """)
    assert board.state().eax == 0x07420741
    assert board.memory.read(address, 4) == b"A\7B\7"
    assert board.engine.counters().mmio == 0


@pytest.mark.parametrize("address", [0xB7FFE, 0xB7FFD, 0x9FFFE])
def test_a_store_over_the_edge_of_the_hole_reaches_what_is_ram(board: Board, address: int) -> None:
    where = address.to_bytes(4, "little").hex(" ")
    board.protected(f"""\
        c7 05 {where} 11 22 33 44 ; mov dword [address], 0x44332211
        a1 {where}              ; mov eax, [address]
        f4                      ; hlt
        """)
    stored = bytes.fromhex("11223344")
    seen = bytes(byte if not 0xA0000 <= address + i < 0xB8000 else 0xFF for i, byte in enumerate(stored))
    assert board.state().eax.to_bytes(4, "little") == seen


def test_code_in_text_memory_runs_and_can_be_rewritten(board: Board) -> None:
    board.memory.write(0xB8000, bytes.fromhex("b8 01 00 00 00 c3"))  # mov eax, 1; ret
    board.protected("""\
        bc 00 80 00 00                ; mov esp, 0x8000
        bb 00 80 0b 00                ; mov ebx, 0xb8000
        ff d3                         ; call ebx
        89 c1                         ; mov ecx, eax
        c7 05 01 80 0b 00 02 00 00 00 ; mov dword [0xb8001], 2
        ff d3                         ; call ebx
        f4                            ; hlt
        """)
    assert (board.state().ecx, board.state().eax) == (1, 2)


@pytest.mark.parametrize(
    ("what", "listing"),
    [
        ("code beyond RAM", "b8 00 00 00 80 ; mov eax, 0x80000000 \n ff e0 ; jmp eax"),
        ("code in the VGA hole", "b8 00 00 0a 00 ; mov eax, 0xa0000 \n ff e0 ; jmp eax"),
        ("code that runs out of RAM", "b8 ff ff 1f 00 ; mov eax, 0x1fffff \n ff e0 ; jmp eax"),
        ("stack beyond RAM", "bc 00 00 00 90 ; mov esp, 0x90000000 \n 50 ; push eax \n 0f 0b ; ud2"),
        (
            "page tables beyond RAM",
            """\
            b8 00 00 00 80 ; mov eax, 0x80000000
            0f 22 d8       ; mov cr3, eax
            0f 20 c0       ; mov eax, cr0
            0d 00 00 00 80 ; or eax, 1 << 31
            0f 22 c0       ; mov cr0, eax
            """,
        ),
        (
            "IDT beyond RAM",
            """\
            c7 05 00 20 00 00 ff ff 00 00 ; mov dword [0x2000], 0xffff
            c7 05 04 20 00 00 00 90 00 00 ; mov dword [0x2004], 0x9000
            0f 01 1d 00 20 00 00          ; lidt [0x2000]
            0f 0b                         ; ud2
            """,
        ),
        ("GDT of nothing", "31 c0 ; xor eax, eax \n b0 40 ; mov al, 0x40 \n 8e d8 ; mov ds, eax"),
    ],
)
def test_a_guest_that_has_lost_its_way_ends(board: Board, what: str, listing: str) -> None:
    stop = board.protected(listing)
    assert stop.kind in (StopKind.TRIPLE_FAULT, StopKind.ENGINE_ABORT), what
    assert Board().protected("f4 ; hlt").kind == StopKind.HALT


def test_self_modifying_code(board: Board) -> None:
    board.protected("""\
        b9 00 00 00 00       ; 0x1000: mov ecx, 0
        fe 05 01 10 00 00    ; inc byte [0x1001]    its own number
        80 f9 20             ; cmp cl, 0x20
        75 f0                ; jne 0x1000
        f4                   ; hlt
        """)
    assert board.state().ecx == 0x20


# The core looks for code in a bitmap of a page that has been stored to ten times.
STORED_TO = """\
    bc 00 20 00 00                ; mov esp, 0x2000
    bf 40 30 00 00                ; mov edi, 0x3040
    c7 07 b0 01 c3 00             ; mov dword [edi], 0x00c301b0     mov al, 1; ret
    ff d7                         ; call edi
    b9 14 00 00 00                ; mov ecx, 20
    89 0d 00 38 00 00             ; mov [0x3800], ecx
    e2 f8                         ; loop
    ff d7                         ; call edi
    """


@pytest.mark.parametrize("count", [8, 16, 17, 64, 256])
def test_a_string_overwrites_code_at_its_end(board: Board, count: int) -> None:
    """Of all ones, which are no instruction. There is no IDT."""
    stop = board.protected(f"""\
        {STORED_TO}
        83 c7 04                      ; add edi, 4
        b9 {count & 0xFF:02x} {count >> 8:02x} 00 00 ; mov ecx, {count}
        c1 e1 02                      ; shl ecx, 2
        29 cf                         ; sub edi, ecx
        c1 e9 02                      ; shr ecx, 2
        ba 99 00 00 00                ; mov edx, 0x99
        f3 6d                         ; rep insd
        bf 40 30 00 00                ; mov edi, 0x3040
        ff d7                         ; call edi
        f4                            ; hlt
        """)
    assert board.memory.read(0x3040, 4) == b"\xff" * 4
    assert stop.kind == StopKind.TRIPLE_FAULT


# Exceptions and interrupts.

RETURN_ADDRESS = """\
    50             ; push ax
    89 e0          ; mov ax, sp
    93             ; xchg ax, bx
    8b 47 02       ; mov ax, [bx + 2]
    a3 00 05       ; mov [0x500], ax
    b0 20          ; mov al, 0x20
    e6 20          ; out 0x20, al
    58             ; pop ax
    cf             ; iret
    """


def pending_interrupt(board: Board, number: int = 3) -> None:
    board.bus.attach(board.pic, 0x20, 2, 0)
    board.line(number).set(1)


def test_sti_shadow_hides_the_next_instruction(board: Board) -> None:
    pending_interrupt(board)
    board.real("fb fa ; sti, cli\n" * 50 + "f4 ; hlt", {VECTOR_BASE + 3: RETURN_ADDRESS})
    assert board.word(0x500) == 0
    assert board.engine.counters().interrupts == {}


def test_interrupt_comes_right_after_the_sti_shadow(board: Board) -> None:
    pending_interrupt(board)
    board.real("fb 90 fa f4 ; sti, nop, cli, hlt", {VECTOR_BASE + 3: RETURN_ADDRESS})
    assert board.word(0x500) == START + 2
    assert board.engine.counters().interrupts == {VECTOR_BASE + 3: 1}


def test_interrupt_wakes_hlt_and_returns_behind_it(board: Board) -> None:
    stop = board.real("fb f4 fa f4 ; sti, hlt, cli, hlt", {VECTOR_BASE + 3: RETURN_ADDRESS})
    assert (stop.kind, board.state().eip) == (StopKind.HALT, START + 2)
    assert (board.engine.halted, board.engine.interrupts_enabled) == (True, True)
    assert board.engine.run().kind == StopKind.HALT  # nothing has come
    pending_interrupt(board)
    assert board.engine.run().kind == StopKind.HALT
    assert board.word(0x500) == START + 2
    assert board.state().eip == START + 4
    assert not board.engine.interrupts_enabled
    assert board.engine.counters().hlts == 2


def test_masked_interrupt_waits(board: Board) -> None:
    pending_interrupt(board)
    board.pic.write(1, 1, 1 << 3)
    assert board.real("fb 90 90 f4 ; sti, nop, nop, hlt").kind == StopKind.HALT
    assert board.engine.counters().interrupts == {}


@pytest.mark.parametrize(
    ("listing", "vector", "return_address"),
    [
        ("cd 21 f4  ; int 0x21, hlt", 0x21, START + 2),
        ("cc f4     ; int3, hlt", 3, START + 1),
        ("cd 03 f4  ; int 3, hlt", 3, START + 2),
        ("b0 ff 04 7f b0 80 2c 01 ce f4 ; mov, add, mov al, 0x80, sub al, 1, into, hlt", 4, START + 9),
    ],
)
def test_software_interrupts_return_behind_themselves(
    board: Board, listing: str, vector: int, return_address: int
) -> None:
    assert board.real(listing, {vector: RETURN_ADDRESS}).kind == StopKind.HALT
    assert board.word(0x500, 2) == return_address
    assert board.engine.counters().software_interrupts == {vector: 1}


def test_triple_fault(board: Board) -> None:
    stop = board.protected("0f 0b ; ud2")
    assert stop.kind == StopKind.TRIPLE_FAULT
    assert board.state().eip == START


# Registers.

BITS_32 = st.integers(0, ONES)
SEGMENT = st.builds(
    Segment,
    selector=st.integers(0, 0xFFFF),
    base=BITS_32,
    limit=BITS_32,
    attributes=BITS_32.map(lambda bits: bits & 0xF0FF00),
)
BUSY = 1 << 9
TABLE = st.builds(Table, base=BITS_32, limit=st.integers(0, 0xFFFF))
CR0_ET = 0x10
CR0_ANY = 0x8005002E  # PG CD NW AM WP NE TS EM MP as far as the core takes them with PE
EFLAGS_ANY = 0x3F7FD5
CR4_ANY = 0x6BC  # OSXMMEXCPT OSFXSR PGE PAE PSE DE TSD as CPUID offers them
STATE = st.builds(
    CpuState,
    **dict.fromkeys(("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "eip", "cr2", "cr3"), BITS_32),
    **dict.fromkeys(("sysenter_cs", "sysenter_esp", "sysenter_eip"), BITS_32),
    **dict.fromkeys(("es", "cs", "ss", "ds", "fs", "gs", "ldtr"), SEGMENT),
    tr=SEGMENT.map(lambda tss: replace(tss, attributes=tss.attributes | BUSY)),  # LTR sets it
    gdtr=TABLE,
    idtr=TABLE,
    eflags=BITS_32.map(lambda bits: bits & EFLAGS_ANY | 2),
    cr0=BITS_32.map(lambda bits: bits & CR0_ANY | CR0_ET | 1) | st.just(CR0_ET),
    cr4=BITS_32.map(lambda bits: bits & CR4_ANY),
    efer=st.sampled_from([0, 1 << 11]),
    halted=st.booleans(),
)


@pytest.fixture(scope="module")
def scratch() -> Board:
    return Board()


@given(state=STATE)
def test_state_round_trip(scratch: Board, state: CpuState) -> None:
    scratch.engine.set_state(state)
    assert state.differences(scratch.engine.state()) == []


@pytest.mark.parametrize("flags", [0x2, 0x3, 0x2 | 1 << 10, 0xED7, 0x3C97, 0x200402])
def test_loaded_flags_reach_the_guest(board: Board, flags: int) -> None:
    board.memory.write(START, machine_code("9c 58 f4 ; pushf, pop eax, hlt"))
    board.engine.set_state(replace(protected_flat(eip=START), esp=START, eflags=flags))
    board.engine.run()
    assert (board.state().eax, board.state().eflags) == (flags, flags)


def test_work_goes_on_in_another_engine(board: Board) -> None:
    listing = """\
        b8 01 00 00 00 ; mov eax, 1
        f9          ; stc
        e6 80       ; out 0x80, al       ends the run, at the end of this block at the latest
        eb 00       ; jmp 1f
        11 c0       ; 1: adc eax, eax
        f4          ; hlt
        """
    attention = board.attention

    class Stopper:
        """Ends the run when it is written to."""

        span = 1

        def read(self, offset: int, size: int) -> int:
            return 0

        def write(self, offset: int, size: int, value: int) -> None:
            attention.stop(StopKind.QUIT)

    board.bus.attach(Stopper(), 0x80)
    assert board.protected(listing).kind == StopKind.QUIT
    other = Board(memory=RAM)
    other.memory.write(START, machine_code(listing))
    other.engine.set_state(board.state())
    assert other.engine.run().kind == StopKind.HALT
    assert board.engine.run().kind == StopKind.HALT
    assert (board.state().eax, other.state().eax) == (3, 3)


def test_halted_vcpu_stays_halted_in_another_engine(board: Board) -> None:
    board.real("fb f4 fa f4 ; sti, hlt, cli, hlt")
    other = Board(memory=RAM)
    other.engine.set_state(board.state())
    assert other.engine.run().kind == StopKind.HALT
    assert other.state().differences(board.state()) == []
    assert other.state().eip == START + 2


# More than one engine.


def count_out(board: Board, rounds: int) -> None:
    """OUT to port 0x99 so many times."""
    stop = board.protected(f"""\
        b9 {rounds.to_bytes(4, "little").hex(" ")} ; mov ecx, rounds
        e6 99  ; 1: out 0x99, al
        49     ; dec ecx
        75 fb  ; jnz 1b
        f4     ; hlt
        """)
    assert stop.kind == StopKind.HALT


def accesses(board: Board) -> int:
    return sum(count.accesses for count in board.bus.counts())


def test_two_engines_take_turns() -> None:
    boards = [Board(), Board()]
    for turn in range(1, 6):
        for board in boards:
            count_out(board, 1000 * turn)
    assert [accesses(board) for board in boards] == [15_000, 15_000]
    boards[0].engine.close()
    count_out(boards[1], 5)
    assert accesses(boards[1]) == 15_005


def test_two_engines_in_two_threads() -> None:
    boards = [Board(), Board()]
    threads = [threading.Thread(target=count_out, args=(board, 500_000)) for board in boards]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_S)
    assert [accesses(board) for board in boards] == [500_000, 500_000]


@pytest.mark.parametrize("size", [0, MIB - 4096, MIB + 1, (3 << 30) + 4096])
def test_memory_that_no_engine_takes(size: int) -> None:
    with pytest.raises(ConfigError, match="multiple of 4 KiB"):
        GuestMemory(size)


@pytest.mark.parametrize("size", [MIB, MIB + 4096, 64 * MIB])
def test_memory_of_any_allowed_size(size: int) -> None:
    top = (size - 4).to_bytes(4, "little").hex(" ")
    board = Board(memory=size)
    board.protected(f"c7 05 {top} 78 56 34 12 ; mov dword [top], 0x12345678 \n f4 ; hlt")
    assert board.word(size - 4) == 0x12345678
