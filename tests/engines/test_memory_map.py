# SPDX-License-Identifier: GPL-2.0-or-later
"""The memory map as guest code finds it: RAM, ROM, alias, hole and device memory, over both engines that run code."""

from __future__ import annotations

import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest

from hyperport import Device
from hyperport.bus.access import Direction, PortAccess, Space
from hyperport.cpu.state import Table, protected_flat
from hyperport.engines.base import Stop
from hyperport.engines.shared.scripted_vcpu import ScriptedVcpu
from hyperport.io.exit import ExitPath
from hyperport.io.trap import TrapPath
from hyperport.lines.attention import StopKind
from hyperport.memory.dma import DmaView
from hyperport.memory.map import Region
from hyperport.time.clock import VirtualClock
from hyperport.time.insn_clock import InsnClock

from ..conftest import LIMIT_S
from .board import START, Board

CARD = 0xD0000
ALIAS = 0xFFF00000
AT = 0x8000  # RAM that the tests alias, and run code from


class Card(Device):
    """A page of device memory that keeps what is stored, and notes each access; port 0 unmaps it, port 1 maps it."""

    name = "card"
    memory_span = 8192
    span = 2
    window: Region

    def __init__(self) -> None:
        self.log: list[tuple[str, int, int, int]] = []
        self.bytes = bytearray(8192)

    def memory_read(self, offset: int, size: int) -> int:
        value = int.from_bytes(self.bytes[offset : offset + size], "little")
        self.log.append(("load", offset, size, value))
        return value

    def memory_write(self, offset: int, size: int, value: int) -> None:
        self.log.append(("store", offset, size, value))
        self.bytes[offset : offset + size] = value.to_bytes(size, "little")

    def write(self, offset: int, size: int, value: int) -> None:
        (self.window.map if offset else self.window.unmap)()


@pytest.fixture(params=["unicorn", "kvm"])
def board(request: pytest.FixtureRequest) -> Iterator[Board]:
    if request.param == "kvm":
        request.getfixturevalue("kvm")
    made = Board(request.param)
    alarm = threading.Timer(LIMIT_S, made.attention.stop, (StopKind.TIMEOUT,))
    alarm.start()
    yield made
    alarm.cancel()
    made.engine.close()


@pytest.fixture
def card(board: Board) -> Card:
    made = Card()
    made.window = board.bus.attach_memory(board.memory.map, made, CARD)
    board.bus.attach(made, 0x300)
    return made


@cache
def assembled(listing: str) -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        thing, flat = Path(directory, "thing.o"), Path(directory, "flat")
        subprocess.run(["as", "--32", "-o", thing, "-"], input=listing + "\n", text=True, check=True)
        subprocess.run(["objcopy", "-O", "binary", "-j", ".text", thing, flat], check=True)
        return flat.read_bytes()


def start(board: Board, listing: str) -> Stop:
    board.memory.write(START, assembled(listing))
    board.engine.set_state(protected_flat(eip=START))
    return board.engine.run()


def run(board: Board, listing: str) -> None:
    assert start(board, listing + "\n hlt").kind == StopKind.HALT


def test_loads_and_stores_reach_the_device(board: Board, card: Card) -> None:
    run(
        board,
        f"""
        movl $0x44332211, {CARD:#x}
        movb $0x55, {CARD + 5:#x}
        movw $0x7766, {CARD + 6:#x}
        movl {CARD:#x}, %eax
        movzbl {CARD + 5:#x}, %ebx
        movzwl {CARD + 0x1002:#x}, %ecx
        """,
    )
    assert card.log == [
        ("store", 0, 4, 0x44332211),
        ("store", 5, 1, 0x55),
        ("store", 6, 2, 0x7766),
        ("load", 0, 4, 0x44332211),
        ("load", 5, 1, 0x55),
        ("load", 0x1002, 2, 0),
    ]
    assert (board.state().eax, board.state().ebx) == (0x44332211, 0x55)


def test_they_are_counted_and_observed(board: Board, card: Card) -> None:
    seen: list[PortAccess] = []
    board.bus.observe(seen.append, places=True)
    run(board, f"movl $1, {CARD + 8:#x}\n movb {CARD + 9:#x}, %al\n out %al, $0x80")
    assert [(access.space, access.direction, access.port, access.size, access.data) for access in seen] == [
        (Space.MEMORY, Direction.OUT, CARD + 8, 4, b"\1\0\0\0"),
        (Space.MEMORY, Direction.IN, CARD + 9, 1, b"\0"),
        (Space.PORT, Direction.OUT, 0x80, 1, b"\0"),
    ]
    place = seen[1].place
    assert place is not None
    assert place.eip - START in (10, 15)
    if board.engine.name == "unicorn":
        assert place.exact
        assert place.eip == START + 10
    memory = [row for row in board.bus.counts() if row.space == Space.MEMORY]
    assert [(row.port, row.direction, row.size, row.device, row.accesses, row.crossings) for row in memory] == [
        (CARD, Direction.IN, 1, "card", 1, 1),
        (CARD, Direction.OUT, 4, "card", 1, 1),
    ]
    assert board.engine.counters().mmio == 2


def test_strings_move_element_by_element(board: Board, card: Card) -> None:
    board.memory.write(AT, bytes(range(1, 13)))
    run(
        board,
        f"""
        mov ${AT:#x}, %esi
        mov ${CARD + 0x10:#x}, %edi
        mov $3, %ecx
        rep movsl
        mov ${CARD + 0x10:#x}, %esi
        mov ${AT + 0x100:#x}, %edi
        mov $6, %ecx
        rep movsw
        """,
    )
    assert [entry[:3] for entry in card.log] == [
        *[("store", 0x10 + 4 * n, 4) for n in range(3)],
        *[("load", 0x10 + 2 * n, 2) for n in range(6)],
    ]
    assert board.memory.read(AT + 0x100, 12) == bytes(range(1, 13))


def test_read_modify_write(board: Board, card: Card) -> None:
    card.bytes[0:4] = (41).to_bytes(4, "little")
    run(board, f"incl {CARD:#x}\n lock addl $2, {CARD:#x}\n mov $5, %eax\n xchg %eax, {CARD:#x}")
    assert [entry[0] for entry in card.log] == ["load", "store"] * 3
    assert int.from_bytes(card.bytes[:4], "little") == 5
    assert board.state().eax == 44


def test_wide_accesses_are_fours(board: Board, card: Card) -> None:
    card.bytes[0:8] = bytes(range(1, 9))
    run(board, f"movq {CARD:#x}, %mm0\n movq %mm0, {CARD + 0x20:#x}")
    assert card.log == [
        ("load", 0, 4, 0x04030201),
        ("load", 4, 4, 0x08070605),
        ("store", 0x20, 4, 0x04030201),
        ("store", 0x24, 4, 0x08070605),
    ]


def test_unaligned_accesses(board: Board, card: Card) -> None:
    card.bytes[0:8] = bytes(range(1, 9))
    run(board, f"movl {CARD + 1:#x}, %eax\n movl %eax, {CARD + 0x21:#x}")
    assert board.state().eax == 0x05040302
    assert card.log[:2] == [("load", 0, 4, 0x04030201), ("load", 4, 4, 0x08070605)]
    assert card.log[2:] == [("store", 0x21 + n, 1, 2 + n) for n in range(4)]


def test_across_the_edges_of_the_window(board: Board, card: Card) -> None:
    """Half in RAM or in nothing, half in the device: each byte goes where it belongs."""
    board.memory.write(CARD - 2, b"\xaa\xbb")
    board.memory.write(CARD + 8192, b"\xcc\xdd")
    card.bytes[0:2] = b"\x11\x22"
    card.bytes[-2:] = b"\x33\x44"
    run(
        board,
        f"movl {CARD - 2:#x}, %eax\n movl {CARD + 8190:#x}, %ebx\n movl $0x04030201, {CARD - 2:#x}\n"
        f"movl $0x08070605, {CARD + 8190:#x}",
    )
    assert (board.state().eax, board.state().ebx) == (0x2211BBAA, 0xDDCC4433)
    assert board.memory.read(CARD - 2, 2) == b"\1\2"
    assert bytes(card.bytes[:2]) == b"\3\4"
    assert bytes(card.bytes[-2:]) == b"\5\6"
    assert board.memory.read(CARD + 8192, 2) == b"\7\x08"


def test_widths_are_split_as_ports_are(board: Board) -> None:
    narrow = Card()
    narrow.memory_widths = (1,)
    board.bus.attach_memory(board.memory.map, narrow, CARD)
    run(board, f"movl $0x04030201, {CARD:#x}\n movw {CARD + 2:#x}, %ax")
    assert narrow.log == [("store", n, 1, n + 1) for n in range(4)] + [("load", 2, 1, 3), ("load", 3, 1, 4)]
    assert board.state().eax & 0xFFFF == 0x0403


PATHS = {"exit": ExitPath, "trap": TrapPath}
CLOCKS = {"virtual": VirtualClock, "insns": InsnClock}


def ins_board(path: str, clock: str) -> tuple[Board, Card]:
    board, card = Board(path=PATHS[path], clock=CLOCKS[clock]()), Card()
    card.window = board.bus.attach_memory(board.memory.map, card, CARD)
    board.bus.attach(card, 0x300)
    return board, card


@pytest.mark.parametrize("clock", CLOCKS)
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("size", "word"), [(1, "b"), (2, "w"), (4, "l")])
def test_ins_stores_what_it_has_read_and_nothing_before(size: int, word: str, path: str, clock: str) -> None:
    """The core probes by a store of 0, which the translator is made to leave out: a device would see it."""
    board, card = ins_board(path, clock)
    run(
        board,
        f"""
        mov $0x301, %edx
        mov ${CARD:#x}, %edi
        mov $3, %ecx
        rep ins{word}
        nop                             # so the next is not the only instruction of its block
        ins{word}
        mov ${CARD + 0x1000 - size:#x}, %edi
        mov $2, %ecx
        rep ins{word}
        """,
    )
    expected = [*range(0, 4 * size, size), 0x1000 - size, 0x1000]
    assert card.log == [("store", at, size, (1 << 8 * size) - 1) for at in expected]
    ports = [count for count in board.bus.counts() if count.space == Space.PORT]
    assert sum(count.accesses for count in ports) == len(expected)  # no IN was done twice
    board.engine.close()


def test_insb_to_device_memory_on_both_engines(board: Board, card: Card) -> None:
    run(board, f"mov $0x301, %edx\n mov ${CARD:#x}, %edi\n mov $3, %ecx\n rep insb")
    assert card.log == [("store", n, 1, 0xFF) for n in range(3)]


@pytest.mark.parametrize("path", PATHS)
def test_ins_that_straddles_the_edge_of_device_memory(path: str) -> None:
    board, card = ins_board(path, "virtual")
    run(board, f"mov $0x310, %edx\n mov ${CARD - 2:#x}, %edi\n insl\n mov ${CARD + 0x1FFF:#x}, %edi\n insw")
    assert card.log == [("store", 0, 1, 0xFF), ("store", 1, 1, 0xFF), ("store", 0x1FFF, 1, 0xFF)]
    assert board.memory.read(CARD - 3, 3) == b"\0\xff\xff"
    assert board.memory.read(CARD + 0x2000, 2) == b"\xff\0"
    board.engine.close()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("code", ["insl", "rep insl"])
def test_ins_has_its_page_fault_before_its_port_is_read(code: str, path: str) -> None:
    """The second of two pages is not there: neither port nor first page is touched, and the registers stay."""
    board = Board(path=PATHS[path])
    reads: list[int] = []

    class Source(Device):
        widths = (4,)
        span = 4

        def read(self, offset: int, size: int) -> int:
            reads.append(size)
            return 0x11223344

    board.bus.attach(Source(), 0x340)
    tables = 0x100000
    entries = [page << 12 | 3 for page in range(0xC0)]
    entries[AT // 4096 + 1] = 0
    board.memory.write(tables, (tables + 0x1000 | 3).to_bytes(4, "little"))
    board.memory.write(tables + 0x1000, b"".join(entry.to_bytes(4, "little") for entry in entries))
    board.memory.write(AT, bytes([0xEE] * 8192))
    board.memory.write(0x3000, b"\xf4")
    board.memory.write(0x2000 + 8 * 14, (0x3000 | 8 << 16 | 0x8E00 << 32).to_bytes(8, "little"))
    board.memory.write(0x1800, bytes(8) + bytes.fromhex("ffff0000009bcf00ffff00000093cf00"))
    paging = "mov %eax, %cr3\n mov %cr0, %eax\n or $0x80000000, %eax\n mov %eax, %cr0\n"
    board.memory.write(START, assembled(f"{paging} {code}\n hlt"))
    state = protected_flat(eip=START, gdtr=Table(0x1800, 0x17))
    state.eax, state.edx, state.ecx, state.edi, state.esp = tables, 0x340, 2, AT + 4094, 0x7000
    state.idtr = Table(0x2000, 0x7FF)
    board.engine.set_state(state)
    assert board.engine.run().kind == StopKind.HALT
    after = board.state()
    assert (after.edi, after.ecx, after.cr2) == (AT + 4094, 2, AT + 4096)
    assert reads == []
    assert board.memory.read(AT, 4096) == bytes([0xEE] * 4096)
    board.engine.close()


def test_unmapped_and_mapped_by_the_guest(board: Board, card: Card) -> None:
    """An OUT takes the window away; the next load finds RAM."""
    board.memory.write(CARD, b"\x77")
    card.bytes[0] = 0x11
    run(
        board,
        f"""
        movb {CARD:#x}, %bl
        mov $0x300, %edx
        out %al, %dx
        movb {CARD:#x}, %bh
        inc %edx
        out %al, %dx
        movb {CARD:#x}, %cl
        """,
    )
    assert (board.state().ebx & 0xFFFF, board.state().ecx & 0xFF) == (0x7711, 0x11)


def test_a_device_unmaps_itself_in_the_middle_of_a_string(board: Board) -> None:
    class Shy(Card):
        def memory_write(self, offset: int, size: int, value: int) -> None:
            super().memory_write(offset, size, value)
            if offset == 4:
                self.window.unmap()

    shy = Shy()
    shy.window = board.bus.attach_memory(board.memory.map, shy, CARD)
    board.memory.write(CARD, bytes(64))
    run(board, f"mov $0x01010101, %eax\n mov ${CARD:#x}, %edi\n mov $4, %ecx\n rep stosl")
    assert [entry[1] for entry in shy.log] == [0, 4]
    assert board.memory.read(CARD, 16) == bytes(8) + b"\1" * 8


def test_rom(board: Board) -> None:
    """It can be read and run; stores of every kind vanish, and so do a device's."""
    rom = board.memory.map.rom("bios", 0xFFFFF000, 4096)
    rom.write(0, b"\xb8\x78\x56\x34\x12\xc3")  # mov $0x12345678, %eax; ret
    before = rom.read(0, 4096)
    board.memory.write(AT, bytes([0xEE] * 32))
    run(
        board,
        f"""
        mov ${AT:#x}, %esp
        movl $0, 0xFFFFF001
        incb 0xFFFFF001
        lock xaddl %ecx, 0xFFFFF000
        mov $0xFFFFF000, %edi
        mov ${AT:#x}, %esi
        mov $8, %ecx
        rep movsl
        movl $-1, 0xFFFFFFFE
        mov $0xFFFFF000, %ebx
        call *%ebx
        """,
    )
    assert board.state().eax == 0x12345678
    DmaView(board.memory).write(0xFFFFF000, b"zzzz")
    assert rom.read(0, 4096) == before == DmaView(board.memory).read(0xFFFFF000, 4096)


def test_rom_over_ram(board: Board) -> None:
    board.memory.write(AT, b"\x42")
    region = board.memory.map.rom_in_ram("shadow", AT, 4096)
    run(board, f"movb $1, {AT:#x}\n movb {AT:#x}, %al")
    assert board.state().eax & 0xFF == 0x42
    assert board.memory.read(AT, 1) == b"\x42"
    region.unmap()
    run(board, f"movb $1, {AT:#x}\n movb {AT:#x}, %al")
    assert board.state().eax & 0xFF == 1
    assert board.memory.read(AT, 1) == b"\1"


def test_hole_over_ram(board: Board) -> None:
    board.memory.write(AT, b"\x42")
    board.memory.map.hole("gap", AT, 4096)
    run(board, f"movb $1, {AT:#x}\n movl {AT:#x}, %eax")
    assert board.state().eax == 0xFFFFFFFF
    assert board.memory.read(AT, 1) == b"\x42"


def test_ram_of_its_own(board: Board) -> None:
    vram = board.memory.map.ram("vram", 0xE0000000, 1 << 20)
    run(board, "movl $0x11223344, 0xE00FFFFC\n movl 0xE00FFFFC, %eax\n movl 0xE0100000, %ebx\n movl 0xDFFFFFFC, %ecx")
    assert vram.read(0xFFFFC, 4) == b"\x44\x33\x22\x11"
    state = board.state()
    assert (state.eax, state.ebx, state.ecx) == (0x11223344, 0xFFFFFFFF, 0xFFFFFFFF)


@pytest.mark.parametrize("kind", ["ram", "own"])
def test_code_and_its_alias(board: Board, kind: str) -> None:
    """A store through either address changes what runs at the other, in a loop that has been run already."""
    if kind == "ram":
        code = AT
        board.memory.map.alias("alias", ALIAS, 4096, None, AT)
    else:
        code = 0xE0000000
        board.memory.map.alias("alias", ALIAS, 4096, board.memory.map.ram("own", code, 8192), 0)
    run(
        board,
        f"""
        mov $0x7000, %esp
        movl $0xC340C031, {code:#x}     # xor %eax, %eax; inc %eax; ret
        mov ${code:#x}, %esi
        mov ${ALIAS:#x}, %edi
        xor %ebp, %ebp
        mov $50, %ecx
1:      call *%esi
        add %eax, %ebp
        call *%edi
        add %eax, %ebp
        movb $0x48, 2(%edi)             # dec, through the alias
        call *%esi
        add %eax, %ebp
        call *%edi
        add %eax, %ebp
        movb $0x40, 2(%esi)             # inc, through the original
        call *%edi
        add %eax, %ebp
        loop 1b
        """,
    )
    assert board.state().ebp == 50  # 1 + 1 - 1 - 1 + 1


def dma_write(dma: DmaView, at: int, data: bytes) -> None:
    dma.write(ALIAS + at, data)


def test_host_and_dma_writes_reach_code_run_through_an_alias(board: Board) -> None:
    own = board.memory.map.ram("own", 0xE0000000, 4096)
    board.memory.map.alias("alias", ALIAS, 4096, own)
    dma = DmaView(board.memory)
    writes: tuple[Callable[[int, bytes], None], ...] = (own.write, partial(dma_write, dma))
    for number, write in enumerate(writes * 2, start=1):
        write(0, b"\xb8" + bytes([number, 0, 0, 0]) + b"\xc3")
        run(board, f"mov $0x7000, %esp\n mov ${ALIAS:#x}, %ebx\n call *%ebx")
        assert board.state().eax == number


def test_code_is_taken_away_while_it_runs(board: Board) -> None:
    """The page whose OUT unmaps it goes on as the page below it, at the latest behind the next jump."""

    class Switch(Device):
        region: Region

        def write(self, offset: int, size: int, value: int) -> None:
            self.region.unmap()

    switch = Switch()
    board.bus.attach(switch, 0x300)
    below, above = b"\xee\xeb\x00\xb0\x01\xf4", b"\xee\xeb\x00\xb0\x02\xf4"  # out; jmp +0; mov $n, %al; hlt
    board.memory.write(AT, below)
    switch.region = board.memory.map.rom("over", AT, 4096)
    switch.region.write(0, above)
    for expected in (1, 1, 1):
        switch.region.map()
        start(board, f"mov $0x300, %edx\n mov ${AT:#x}, %ebx\n jmp *%ebx")
        assert board.state().eax & 0xFF == expected


def test_page_tables_in_rom_and_alias(board: Board) -> None:
    if board.engine.name == "kvm":
        pytest.skip("32-bit paging is the host's there")
    tables = board.memory.map.ram("tables", 0xE0000000, 8192)
    board.memory.map.alias("mirror", ALIAS, 8192, tables)
    tables.write(0, (ALIAS + 0x1000 | 3).to_bytes(4, "little"))
    tables.write(0x1000, b"".join((page << 12 | 3).to_bytes(4, "little") for page in range(512)))
    tables.write(0x1000 + 4 * 0x300, (AT | 3).to_bytes(4, "little"))
    run(
        board,
        f"mov ${ALIAS:#x}, %eax\n mov %eax, %cr3\n mov %cr0, %eax\n or $0x80000000, %eax\n mov %eax, %cr0\n"
        "movb $0x5A, 0x300123",
    )
    assert board.memory.read(AT + 0x123, 1) == b"\x5a"
    assert tables.read(0x1000 + 4 * 0x300, 1)[0] & 0x60 == 0x60  # accessed and dirty


def test_code_in_device_memory_ends_in_a_defined_way(board: Board, card: Card) -> None:
    """Unicorn runs it as qemu does, each instruction read anew; KVM cannot, and says so."""
    card.bytes[0:3] = b"\xb0\x07\xf4"  # mov $7, %al; hlt
    stop = start(board, f"mov ${CARD:#x}, %ebx\n jmp *%ebx")
    if board.engine.name == "unicorn":
        assert stop.kind == StopKind.HALT
        assert board.state().eax & 0xFF == 7
    else:
        assert stop.kind in (StopKind.HALT, StopKind.ENGINE_ABORT)


def test_an_exception_of_the_device_ends_the_run(board: Board) -> None:
    class Broken(Card):
        def memory_read(self, offset: int, size: int) -> int:
            raise ValueError("no")

    broken = Broken()
    window = board.bus.attach_memory(board.memory.map, broken, CARD)
    board.bus.adapter(broken).connect(board.attention, None, board.engine, window)
    stop = start(board, f"movl {CARD + 4:#x}, %eax\n hlt")
    assert stop.kind == StopKind.DEVICE_ERROR
    assert isinstance(stop.failure, ValueError)
    note = stop.failure.__notes__[0]
    assert f"address {CARD + 4:#x} (memory offset 0x4): read of 4 bytes" in note
    assert "0010:" in note


def test_a_script_reaches_the_map_too() -> None:
    board = Board("scripted")
    card = Card()
    board.bus.attach_memory(board.memory.map, card, CARD)
    board.memory.map.rom_in_ram("rom", AT, 4096)
    script: Any = board.engine
    script.play([("store", CARD, 4, 0x01020304), ("load", CARD + 1, 2, 0), ("store", AT, 1, 9), ("load", AT, 1, 0)])
    board.engine.run()
    assert board.engine.answers == [0x0203, 0]  # type: ignore[attr-defined]
    vcpu = ScriptedVcpu(board.engine.path, board.memory)  # type: ignore[attr-defined]
    assert vcpu.load_store(Direction.IN, 0xF0000000, 4) == 0xFFFFFFFF
