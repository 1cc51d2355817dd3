# SPDX-License-Identifier: GPL-2.0-or-later
"""The timer, each rule of the data sheet by itself."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hyperport.errors import StateError
from hyperport.lines.irq import IrqLine
from tests.devices.pit_board import BOTH, CONTROL, HIGH, HZ, LOW, PORT_B, Board, tick_ns


@pytest.mark.parametrize("mode", range(6))
def test_mode_0_alone_starts_with_out_low(mode: int) -> None:
    board = Board()
    board.pit.write(CONTROL, 1, 0x80 | BOTH << 4 | mode << 1)
    assert board.out(2) == (mode != 0)
    assert board.status(2) & 0x7F == 0x40 | BOTH << 4 | mode << 1


def test_modes_6_and_7_are_2_and_3() -> None:
    board = Board()
    for mode, edges in ((6, [101, 201]), (7, [101, 201])):
        board = Board()
        board.program(0, mode, 100)
        board.interrupts()
        assert board.status(0) & 0x0E == mode << 1, "status gives the bits as they were written"
        assert board.edges(250) == edges


def test_mode_0_counts_once_and_goes_on() -> None:
    board = Board()
    board.program(0, 0, 1000)
    assert board.status(0) & 0xC0 == 0x40, "not loaded before the next pulse"
    board.forward(1)
    assert (board.latched(0), board.status(0) & 0xC0) == (1000, 0)
    assert board.edges(1000) == []
    assert board.latched(0) == 1
    assert board.edges(200_000) == [1001]
    assert board.latched(0) == (1000 - (200_000 - 1)) & 0xFFFF
    assert board.out(0) == 1


def test_mode_0_first_byte_stops_the_count() -> None:
    board = Board()
    board.program(0, 0, 1000)
    board.forward(2000)
    board.interrupts()
    board.pit.write(0, 1, 0x10)
    stopped = board.latched(0)
    assert board.out(0) == 0
    board.forward(500)
    assert board.latched(0) == stopped
    board.pit.write(0, 1, 0)
    assert board.edges(3000) == [2000 + 500 + 1 + 16]


def test_mode_1_is_a_retriggerable_one_shot() -> None:
    board = Board()
    board.program(2, 1, 50)
    board.forward(200)
    assert board.out(2) == 1, "armed"
    board.gate(1)
    assert board.out(2) == 1
    board.forward(1)
    assert (board.out(2), board.latched(2)) == (0, 50)
    board.count(2, 80)
    board.forward(30)
    board.gate(0)
    assert board.latched(2) == 20, "neither a count nor a low gate disturbs it"
    board.gate(1)
    board.forward(1)
    assert (board.out(2), board.latched(2)) == (0, 80)
    board.forward(79)
    assert board.out(2) == 0
    board.forward(1)
    assert board.out(2) == 1


def test_mode_2_divides_and_takes_a_new_count_at_the_end_of_the_period() -> None:
    board = Board()
    board.program(0, 2, 100)
    board.interrupts()
    board.forward(1)
    assert (board.latched(0), board.out(0)) == (100, 1)
    board.forward(1)
    assert (board.latched(0), board.out(0)) == (99, 1)
    board.to_tick(100)
    assert (board.latched(0), board.out(0)) == (1, 0)
    board.to_tick(150)
    assert board.interrupts() == 1
    board.count(0, 40)
    assert (board.latched(0), board.status(0) & 0x40) == (51, 0x40)
    assert board.edges(300) == [201, 241, 281]
    assert board.status(0) & 0x40 == 0


@pytest.mark.parametrize(
    ("count", "high", "low"), [(4, [4, 2], [4, 2]), (5, [4, 2, 0], [4, 2]), (3, [2, 0], [2]), (2, [2], [2])]
)
def test_mode_3_square_wave(count: int, high: list[int], low: list[int]) -> None:
    board = Board()
    board.gate(1)
    board.program(2, 3, count)
    seen = []
    for _ in range(2 * count):
        board.forward(1)
        seen.append((board.latched(2), board.out(2)))
    assert seen == 2 * ([(value, 1) for value in high] + [(value, 0) for value in low])


def test_mode_3_takes_a_new_count_at_the_end_of_the_half_cycle() -> None:
    board = Board()
    board.program(0, 3, 200)
    board.forward(51)
    board.interrupts()
    board.count(0, 60)
    assert board.edges(300) == [101 + 30, 101 + 90, 101 + 150]


@pytest.mark.parametrize("mode", [4, 5])
def test_modes_4_and_5_strobe_low_for_one_pulse(mode: int) -> None:
    board = Board()
    board.gate(mode == 4)
    board.program(2, mode, 10)
    if mode == 5:
        board.forward(30)
        board.gate(1)
    levels = []
    for _ in range(40):
        board.forward(1)
        levels.append(board.out(2))
    assert levels == 10 * [1] + [0] + 29 * [1]


def test_mode_4_interrupts_when_the_strobe_ends_and_restarts_on_each_count() -> None:
    board = Board()
    board.program(0, 4, 1000)
    board.interrupts()
    assert board.edges(2000) == [1002]
    board.count(0, 100)
    board.forward(50)
    board.count(0, 200)
    assert board.edges(4000) == [2050 + 1 + 200 + 1]


@pytest.mark.parametrize("mode", [0, 4])
def test_low_gate_pauses_modes_0_and_4(mode: int) -> None:
    board = Board()
    board.program(2, mode, 100)
    board.forward(50)
    assert board.latched(2) == 100, "loaded, not counting"
    board.gate(1)
    board.forward(40)
    board.gate(0)
    board.forward(1000)
    assert board.latched(2) == 60
    board.gate(1)
    board.forward(59)
    assert (board.latched(2), board.out(2)) == (1, mode == 4)
    board.forward(1)
    assert (board.latched(2), board.out(2)) == (0, mode == 0)


@pytest.mark.parametrize("mode", [2, 3])
def test_low_gate_stops_modes_2_and_3_with_out_high(mode: int) -> None:
    board = Board()
    board.gate(1)
    board.program(2, mode, 10)
    board.forward(10)
    assert board.out(2) == 0
    board.gate(0)
    assert board.out(2) == 1
    held = board.latched(2)
    board.forward(5)
    assert board.latched(2) == held
    board.gate(1)
    assert board.out(2) == 1
    board.forward(1)
    assert board.latched(2) == 10


def test_latch_holds_until_read_and_the_second_latch_is_ignored() -> None:
    board = Board()
    board.program(0, 2, 0)
    board.forward(1001)
    board.pit.write(CONTROL, 1, 0x00)
    board.forward(5000)
    board.pit.write(CONTROL, 1, 0x00)
    assert board.read(0) == 65536 - 1000
    assert board.read(0) == 65536 - 6000


def test_reprogramming_drops_the_latch() -> None:
    board = Board()
    board.program(0, 2, 0)
    board.forward(1001)
    board.pit.write(CONTROL, 1, 0x00)
    board.program(0, 2, 0x1234)
    board.forward(1)
    assert board.read(0) == 0x1234


def test_read_back_gives_status_first_then_count() -> None:
    board = Board()
    board.program(0, 2, 1000)
    board.program(1, 3, 18, LOW)
    board.forward(101)
    board.pit.write(CONTROL, 1, 0xC0 | 0x06)
    board.forward(7)
    assert board.pit.read(0) == 0x80 | 0x34
    assert board.read(0) == 900
    assert board.pit.read(1) == 0x16, "in the low half"
    assert board.pit.read(1) == 18 - 2 * (100 % 9)


def test_read_back_of_the_count_alone() -> None:
    board = Board()
    board.program(0, 2, 1000)
    board.forward(101)
    board.pit.write(CONTROL, 1, 0xD0 | 0x02)
    board.forward(7)
    assert board.read(0) == 900


@pytest.mark.parametrize(
    ("access", "written", "loaded"), [(LOW, 0x1234, 0x34), (HIGH, 0x1234, 0x1200), (BOTH, 0x1234, 0x1234)]
)
def test_access_of_low_high_and_both_bytes(access: int, written: int, loaded: int) -> None:
    board = Board()
    board.program(2, 0, written, access)
    board.forward(1)
    parts = [board.pit.read(2) for _ in range(2)]
    assert parts == {LOW: [0x34, 0x34], HIGH: [0x12, 0x12], BOTH: [0x34, 0x12]}[access]
    board.gate(1)
    board.forward(loaded)
    assert board.out(2) == 1


def test_read_and_write_flip_flops_are_apart() -> None:
    board = Board()
    board.program(2, 0, 0x5678)
    board.forward(1)
    assert board.pit.read(2) == 0x78
    board.pit.write(2, 1, 0x34)
    assert board.pit.read(2) == 0x56
    board.pit.write(2, 1, 0x12)
    board.forward(1)
    assert board.read(2) == 0x1234


@pytest.mark.parametrize(("bcd", "largest", "shown"), [(0, 65536, 0xFFFF), (1, 10000, 0x9999)])
def test_a_count_of_zero_is_the_largest(bcd: int, largest: int, shown: int) -> None:
    board = Board()
    board.program(0, 2, 0, bcd=bcd)
    board.interrupts()
    board.forward(1)
    assert board.latched(0) == 0
    board.forward(1)
    assert board.latched(0) == shown
    assert board.edges(2 * largest + 10) == [largest + 1, 2 * largest + 1]


def test_bcd_counts_in_decimal() -> None:
    board = Board()
    board.program(0, 0, 0x1000, bcd=1)
    board.forward(2)
    assert board.latched(0) == 0x0999
    board.forward(1000)
    assert board.latched(0) == 0x9999
    assert board.interrupts() == 1


def test_control_port_reads_all_ones() -> None:
    assert Board().pit.read(CONTROL) == 0xFF


def test_port_b_keeps_four_bits_and_shows_out_2() -> None:
    board = Board()
    board.pit.write(PORT_B, 1, 0xFE)
    assert board.pit.read(PORT_B) & 0xEF == 0x0E
    board.program(2, 0, 10)
    board.gate(1)
    board.forward(10)
    assert board.pit.read(PORT_B) & 0x21 == 0x01
    board.forward(1)
    assert board.pit.read(PORT_B) & 0x21 == 0x21


def test_refresh_bit_toggles_every_18_pulses() -> None:
    board = Board()
    levels = []
    for _ in range(180):
        levels.append(board.pit.read(PORT_B) >> 4 & 1)
        board.forward(1)
    assert levels == 5 * (18 * [0] + 18 * [1])


def running(board: Board, count: int, age: int, late: int = 0) -> int:
    """Make channel 0 a rate generator that has run for age pulses, the last `late` of them unserved; its origin."""
    board.program(0, 2, count & 0xFFFF)
    board.interrupts()
    board.forward(1)
    record = board.pit.save()
    board.pit.load({**record, "age": [age, 0, 0], "late": late})
    return board.now() - age


@given(st.integers(0, 10**13), st.integers(30, 65536), st.integers(0, 10**13))
@example(0, 11932, 10**12)
@settings(max_examples=100, deadline=None)
def test_ticks_never_drift(now: int, count: int, age: int) -> None:
    """Edge n is due at origin + n * count pulses in ns, rounded up once, however far away n is."""
    board = Board(now)
    origin = running(board, count, age)
    assert board.latched(0) == (count - age % count) & 0xFFFF
    n = age // count + 1
    assert board.clock.next_deadline_ns() == tick_ns(origin + n * count)
    assert board.edges(origin + (n + 3) * count) == [origin + (n + k) * count for k in range(4)]


@pytest.mark.parametrize(("missed", "made_up"), [(1, 1), (5, 5), (33, 33), (34, 33), (10**9, 33)])
def test_edges_missed_by_a_late_host_are_made_up_for_within_bounds(missed: int, made_up: int) -> None:
    board, count = Board(), 4773
    origin = running(board, count, age=(missed + 1) * count + 100, late=missed * count + 1)
    last = origin + (missed + 1) * count
    found = board.edges(last + 15 * count)
    assert len(found) == made_up + 15
    assert all(later - earlier >= 23 for earlier, later in pairwise(found))
    assert found[-2:] == [last + 14 * count, last + 15 * count], "in phase again"


@pytest.mark.parametrize(("count", "owed"), [(12, 0), (4773, 5)], ids=["too close", "owed"])
def test_a_service_that_waits_is_waited_for_after_load_too(count: int, owed: int) -> None:
    board = Board()
    board.program(0, 2, count)
    board.forward(1000)
    board.pit.load({**board.pit.save(), "age": [owed * count + 100, 0, 0], "late": owed * count})
    waits = []
    for _ in range(30):
        board.forward(1)
        record, due = board.pit.save(), board.clock.next_deadline_ns()
        board.pit.load(record)
        assert board.clock.next_deadline_ns() == due
        waits.append(record["service_in"])
    assert any(waits)


@pytest.mark.parametrize("mode", [2, 3])
@pytest.mark.parametrize("count", [1, 2, 3, 16])
def test_tiny_periods_do_not_flood_the_host(mode: int, count: int) -> None:
    board = Board()
    board.program(0, mode, count)
    found = board.edges(HZ // 100)
    assert len(found) <= 10_000_000 // 20_000
    assert (len(found) > 0) == (count > 1)


@pytest.mark.parametrize("count", [0, 1, 0x9999, 0xAAAA, 0xFFFF])
@pytest.mark.parametrize("control", [mode << 1 | bcd for mode in range(8) for bcd in (0, 1)])
def test_no_count_upsets_the_timer(control: int, count: int) -> None:
    board = Board()
    board.gate(1)
    for channel in (0, 2):
        board.program(channel, control >> 1, count, bcd=control & 1)
    for _ in range(50):
        board.forward(997)
        for channel in (0, 2):
            digits = f"{board.latched(channel):x}"
            assert digits.isdecimal() or not control & 1


def test_reset_stops_everything() -> None:
    board = Board()
    fresh = board.pit.save()
    board.program(0, 2, 100)
    board.program(2, 3, 100)
    board.gate(1)
    board.forward(500)
    board.pit.reset()
    assert board.pit.save() == fresh
    assert board.clock.next_deadline_ns() is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("count", [0, 1, 1]), ("reload", [65537, 1, 1]), ("gate", [0, 1, 0]), ("port_b", 1), ("control", [0, 48, 48]),
        ("load_in", [1, 0, 0]), ("load_kind", [1, 0, 0]), ("latched", [3, 0, 0]), ("held", [0, 0]), ("late", -1),
    ],
)  # fmt: skip
def test_load_refuses_what_no_timer_has(field: str, value: object) -> None:
    board = Board()
    before = board.pit.save()
    with pytest.raises(StateError):
        board.pit.load({**before, field: value})
    assert board.pit.save() == before


# What the interrupt controller's request register shows.


def irr(board: Board) -> int:
    board.pic.write(0, 1, 0x0A)
    return board.pic.read(0) & 1


def watched(tick: int = 0) -> Board:
    """A board as the machine wires it, with IRQ 0 masked."""
    board = Board(tick)
    board.pic.look_by(IrqLine(board.pit, 0))
    board.pic.write(1, 1, 0xFF)
    return board


@pytest.mark.parametrize("count", [100, 101, 1193, 65536])
def test_a_square_wave_can_be_seen_in_irr(count: int) -> None:
    board = watched()
    board.program(0, 3, count & 0xFFFF)
    board.forward(count + 1)
    seen = []
    for _ in range(40):
        board.forward(count // 8)
        seen.append(irr(board))
        assert seen[-1] == board.out(0)
    assert {0, 1} == set(seen)


def test_an_acknowledged_half_is_not_requested_again() -> None:
    board = watched()
    board.pic.write(1, 1, 0xFE)
    board.program(0, 3, 1000)
    board.forward(1001)
    assert irr(board) == 1
    assert board.interrupts() == 1
    assert (board.out(0), irr(board)) == (1, 0)
    board.forward(500)
    assert (board.out(0), irr(board)) == (0, 0)
    board.forward(500)
    assert (board.out(0), irr(board)) == (1, 1)


def test_a_half_that_nobody_looks_at_takes_no_tick_away() -> None:
    board = watched()
    board.program(0, 3, 1000)
    board.forward(1000 + 700)
    assert board.out(0) == 0
    board.pic.write(1, 1, 0xFE)
    assert board.interrupts() == 1


def test_a_poll_sees_the_level_too() -> None:
    board = watched()
    board.pic.write(1, 1, 0xFE)
    board.program(0, 3, 1000)
    board.forward(1000 + 700)
    board.pic.write(0, 1, 0x0C)
    assert board.pic.read(0) == 0
    board.forward(400)
    board.pic.write(0, 1, 0x0C)
    assert board.pic.read(0) == 0x80
