# SPDX-License-Identifier: GPL-2.0-or-later
"""The VGA's registers, as IBM's manual has them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperport.devices.vga import Vga
from hyperport.memory.ram import GuestMemory
from hyperport.time.clock import VirtualClock

BASE = 0x3B0
FRAME_NS = 449 * 31778
PROTECTED = range(8)


class Board:
    """A VGA addressed by ports."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.vga = Vga(self.clock, GuestMemory(1 << 20))

    def inp(self, port: int) -> int:
        return self.vga.read(port - BASE)

    def outp(self, port: int, value: int) -> None:
        self.vga.write(port - BASE, 1, value)

    def crtc(self, register: int, value: int) -> int:
        self.outp(0x3D4, register)
        self.outp(0x3D5, value)
        return self.inp(0x3D5)

    def attribute(self, register: int, value: int) -> int:
        self.inp(0x3DA)
        self.outp(0x3C0, register)
        self.outp(0x3C0, value)
        return self.inp(0x3C1)


@pytest.fixture
def board() -> Board:
    return Board()


def test_power_on_is_mode_3(board: Board) -> None:
    assert board.inp(0x3CC) == 0x67
    registers = board.vga.registers()
    assert registers["crtc"][1] + 1 == 80
    assert registers["crtc"][9] & 0x1F == 15
    assert (registers["crtc"][0x12] | (registers["crtc"][7] & 2) << 7) + 1 == 400
    assert registers["dac"][3 * 0x14 : 3 * 0x14 + 3] == bytes([0x2A, 0x15, 0]), "brown"


def test_bit_0_of_misc_output_moves_the_crtc(board: Board) -> None:
    board.crtc(0x0E, 0x12)
    board.outp(0x3C2, 0x66)
    assert (board.inp(0x3D5), board.inp(0x3DA), board.inp(0x3D4)) == (0xFF, 0xFF, 0xFF)
    assert board.inp(0x3B5) == 0x12
    board.outp(0x3D5, 0x34)
    assert board.inp(0x3B5) == 0x12
    board.outp(0x3B5, 0x34)
    assert board.inp(0x3B5) == 0x34
    board.outp(0x3C2, 0x67)
    assert (board.inp(0x3B5), board.inp(0x3BA)) == (0xFF, 0xFF)
    assert board.inp(0x3D5) == 0x34


def test_a_read_of_status_1_sets_the_flip_flop_back(board: Board) -> None:
    board.outp(0x3C0, 0x11)
    board.inp(0x3DA)
    board.outp(0x3C0, 0x12)  # an index again, not the data of 11h
    board.outp(0x3C0, 0x05)
    assert board.vga.registers()["attribute"][0x11:0x13] == bytes([0, 5])


def test_the_palette_is_written_only_while_it_is_not_the_displays(board: Board) -> None:
    assert board.attribute(0x20 | 3, 9) == 3
    assert board.attribute(3, 9) == 9
    assert board.attribute(0x20 | 0x10, 4) == 4, "the other registers do not care"
    assert board.inp(0x3C0) == 0x30


def test_crtc_registers_0_to_7_can_be_protected(board: Board) -> None:
    before = board.vga.registers()["crtc"]
    assert before[0x11] & 0x80
    for register in PROTECTED:
        board.crtc(register, before[register] ^ 0xFF)
    after = board.vga.registers()["crtc"]
    assert after[:7] == before[:7]
    assert after[7] == before[7] ^ 0x10, "line compare bit 8 is free"
    board.crtc(0x11, 0x0E)
    assert [board.crtc(register, 0x5A) for register in PROTECTED] == [0x5A] * 8


@pytest.mark.parametrize(
    ("index", "data", "count", "bits"),
    [(0x3C4, 0x3C5, 5, [3, 0x3D, 15, 0x3F, 14]), (0x3CE, 0x3CF, 9, [15, 15, 15, 31, 3, 0x7B, 15, 15, 255])],
)
def test_registers_keep_the_bits_that_they_have(
    board: Board, index: int, data: int, count: int, bits: list[int]
) -> None:
    for register in range(count):
        board.outp(index, register)
        board.outp(data, 0xFF)
        assert (board.inp(index), board.inp(data)) == (register, bits[register])
    board.outp(index, count)
    board.outp(data, 0xFF)
    assert board.inp(data) == 0


@given(first=st.integers(0, 255), colours=st.lists(st.tuples(*[st.integers(0, 255)] * 3), max_size=20))
def test_the_dac_counts_up_on_write_and_read(first: int, colours: list[tuple[int, int, int]]) -> None:
    board = Board()
    board.outp(0x3C8, first)
    for colour in colours:
        for part in colour:
            board.outp(0x3C9, part)
    assert (board.inp(0x3C7), board.inp(0x3C8)) == (0, (first + len(colours)) & 0xFF)
    board.outp(0x3C7, first)
    assert board.inp(0x3C7) == 3
    for colour in colours:
        assert tuple(board.inp(0x3C9) for _ in range(3)) == tuple(part & 0x3F for part in colour)


def test_a_colour_changes_with_its_third_component(board: Board) -> None:
    before = board.vga.registers()["dac"][:3]
    board.outp(0x3C8, 0)
    board.outp(0x3C9, 1)
    board.outp(0x3C9, 2)
    assert board.vga.registers()["dac"][:3] == before
    board.outp(0x3C9, 3)
    assert board.vga.registers()["dac"][:3] == bytes([1, 2, 3])


def test_the_beam_follows_the_clock(board: Board) -> None:
    seen = set()
    for _ in range(2000):
        board.clock.advance(31778 // 4 + 1)
        seen.add(board.inp(0x3DA))
    assert seen == {0, 1, 9}, "picture, blanking, retrace within blanking"


def test_retrace_comes_once_a_frame(board: Board) -> None:
    edges, before = 0, 0
    for _ in range(FRAME_NS * 10 // 20_000):
        board.clock.advance(20_000)
        now = board.inp(0x3DA) & 8
        edges += now > before
        before = now
    assert edges == 10


@pytest.mark.parametrize("wanted", [8, 1, 0])
def test_a_poll_ends_even_when_time_stands_still(board: Board, wanted: int) -> None:
    polls = 0
    while board.inp(0x3DA) & 9 != (9 if wanted == 8 else wanted):
        polls += 1
        assert polls < 2 * FRAME_NS // 1000
