# SPDX-License-Identifier: GPL-2.0-or-later
"""Recorded conversations with devices, played without a CPU, and compared."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hyperport
from hyperport.bus.port_bus import PortBus
from hyperport.errors import ConfigError, DifferenceError
from hyperport.memory.ram import GuestMemory
from hyperport.observe.recorder import Recorder
from hyperport.observe.trace_diff import Difference, Element, elements, first_difference
from hyperport.observe.trace_file import TraceFile
from hyperport.observe.trace_play import KEPT, Bench, play_device
from hyperport.time.clock import VirtualClock


class Counter(hyperport.Device):
    """Counts in steps of what was written; its timer adds 100."""

    span = 4
    widths = (1, 2, 4)

    def __init__(self, step: int = 1) -> None:
        self.step, self.value = step, 0

    def read(self, offset: int, size: int) -> int:
        self.value += self.step
        return self.value & (1 << 8 * size) - 1

    def write(self, offset: int, size: int, value: int) -> None:
        if value == 0xEE:
            raise ValueError("no such step")
        self.value = value
        self.timer.arm_at(self.clock.now_ns() + 1000)

    def on_timer(self, number: int) -> None:
        self.value += 100


def recorded(file: Path, device: Any, base: int = 0x300) -> None:
    """A conversation with device, and one with nobody."""
    bench = Bench(device, base)
    fd = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    recorder = Recorder(bench.clock, fd)
    bench.bus.observe(recorder)
    bench.bus.outp(base, 1, 7)
    assert bench.bus.inp(base, 2) == 8
    bench.clock.advance(2000)
    assert bench.bus.inp(base, 1) == 109
    bench.bus.inp(0x80)
    bench.bus.inp_block(base + 1, 1, 5)
    recorder.close()
    os.close(fd)


def test_the_same_device_gives_the_same_answers(tmp_path: Path) -> None:
    recorded(tmp_path / "t", Counter())
    with TraceFile(tmp_path / "t") as trace:
        played = play_device(trace.accesses(), Counter(), 0x300)
    assert (played.accesses, played.reads, played.different) == (4, 3, 0)
    played.check()


def test_another_one_is_found_out(tmp_path: Path) -> None:
    recorded(tmp_path / "t", Counter())
    with TraceFile(tmp_path / "t") as trace:
        played = play_device(trace.accesses(), Counter(step=2), 0x300)
    with pytest.raises(DifferenceError, match="3 of 3 reads differ: access 1: in 0300 gave 0009, and 0008 when"):
        played.check()
    assert str(played.mismatches[2]).startswith("access 4, element 0: in 0301 gave 71, and 6e when")


def test_what_a_device_raises_comes_out(tmp_path: Path) -> None:
    recorded(tmp_path / "t", Counter())

    class Raises(Counter):
        def read(self, offset: int, size: int) -> int:
            raise ZeroDivisionError("mine")

    with TraceFile(tmp_path / "t") as trace, pytest.raises(ZeroDivisionError, match="mine"):
        play_device(trace.accesses(), Raises(), 0x300)


class Card(hyperport.Device):
    """A register, and memory that adds `more` to what is stored; the register's bit 0 shows it."""

    memory_span = 4096

    def __init__(self, more: int = 1) -> None:
        self.more, self.bytes = more, bytearray(4096)

    def reset(self) -> None:
        self.window.unmap()

    def write(self, offset: int, size: int, value: int) -> None:
        if value & 1:
            self.window.map()
        else:
            self.window.unmap()

    def memory_read(self, offset: int, size: int) -> int:
        return int.from_bytes(self.bytes[offset : offset + size], "little")

    def memory_write(self, offset: int, size: int, value: int) -> None:
        self.bytes[offset : offset + size] = (value + self.more).to_bytes(size, "little")


CARD: Any = {"base": 0x340, "memory": 0xD0000}


def recorded_card(file: Path) -> None:
    """Its memory hidden and shown, and an access to a neighbour's."""
    bench = Bench(Card(), **CARD)
    bench.bus.attach_memory(GuestMemory(1 << 20).map, Card(), 0xE0000)
    fd = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    recorder = Recorder(bench.clock, fd)
    bench.bus.observe(recorder)
    bench.bus.store(0xD0004, 4, 7)  # nobody hears it: it is hidden, and not in the trace
    bench.bus.outp(0x340, 1, 1)
    assert [bench.bus.load(0xD0004, size) for size in (4, 2, 1)] == [0, 0, 0]
    bench.bus.store(0xD0004, 4, 7)
    assert bench.bus.load(0xD0004) == 8
    assert bench.bus.load(0xE0000) == 0
    recorder.close()
    os.close(fd)


def test_device_memory_is_played(tmp_path: Path) -> None:
    recorded_card(tmp_path / "t")
    with TraceFile(tmp_path / "t") as trace:
        played = play_device(trace.accesses(), Card(), **CARD)
    assert (played.accesses, played.reads, played.different) == (6, 4, 0)
    with TraceFile(tmp_path / "t") as trace:
        played = play_device(trace.accesses(), Card(more=2), **CARD)
    assert [str(each) for each in played.mismatches] == [
        "access 5: ld 000d0004 gave 00000009, and 00000008 when it was recorded"
    ]


def test_a_device_is_put_where_it_can_be() -> None:
    with pytest.raises(ConfigError, match="card has memory of 0x1000 bytes: give it an address"):
        Bench(Card(), 0x340)
    with pytest.raises(ConfigError, match="counter has no memory: leave the address out"):
        Bench(Counter(), 0x340, memory=0xD0000)
    with pytest.raises(ConfigError, match="counter: give it ports by base"):
        Bench(Counter(), None)


def test_mismatches_are_counted_beyond_those_that_are_kept(tmp_path: Path) -> None:
    bus = PortBus()
    fd = os.open(tmp_path / "t", os.O_CREAT | os.O_WRONLY)
    recorder = Recorder(VirtualClock(), fd)
    bus.observe(recorder)
    for _ in range(KEPT + 5):
        bus.inp(0x300)
    recorder.close()
    os.close(fd)
    with TraceFile(tmp_path / "t") as trace:
        played = play_device(trace.accesses(), Counter(), 0x300)
    assert (played.different, len(played.mismatches)) == (KEPT + 5, KEPT)


# The first difference.


def trace_of(tmp_path: Path, name: str, values: list[int], *, strings: bool = False) -> list[Element]:
    bus = PortBus()
    fd = os.open(tmp_path / name, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    recorder = Recorder(VirtualClock(), fd)
    bus.observe(recorder)
    if strings:
        bus.outp_block(0x80, 1, bytes(values))
    else:
        for value in values:
            bus.outp(0x80, 1, value)
    recorder.close()
    os.close(fd)
    with TraceFile(tmp_path / name) as trace:
        return list(elements(trace.accesses()))


def test_strings_are_compared_by_their_elements(tmp_path: Path) -> None:
    one = trace_of(tmp_path, "a", [1, 2, 3])
    other = trace_of(tmp_path, "b", [1, 2, 3], strings=True)
    assert first_difference(iter(one), iter(other)) == 3


@pytest.mark.parametrize(
    ("one", "other", "equal", "left", "right", "agree"),
    [
        ([*range(10)], [*range(5), 99, *range(5, 10)], 5, [], [99], 5),
        ([*range(10)], [0, *range(3, 10)], 1, [1, 2], [], 7),
        ([*range(10)], [*range(5)], 5, [5, 6, 7, 8, 9], [], 0),
        ([1, 2, 3], [4, 5, 6], 0, [1, 2, 3], [4, 5, 6], 0),
        ([0, 1, *range(10, 20)], [0, 2, *range(10, 20)], 1, [1], [2], 10),
    ],
)
def test_the_first_difference(
    tmp_path: Path, one: list[int], other: list[int], equal: int, left: list[int], right: list[int], agree: int
) -> None:
    found = first_difference(iter(trace_of(tmp_path, "a", one)), iter(trace_of(tmp_path, "b", other)))
    assert isinstance(found, Difference)
    assert found.equal == equal
    assert [each.value for each in found.left] == left
    assert [each.value for each in found.right] == right
    assert found.agree == agree
    assert [each.value for each in found.before] == one[max(0, equal - 3) : equal]


@given(st.lists(st.integers(0, 3), max_size=30), st.lists(st.integers(0, 3), max_size=30))
def test_a_difference_is_where_lists_part(one: list[int], other: list[int]) -> None:
    class Fake:
        space, direction, port, size = 0, 1, 0x80, 1

    made = [[Element(Fake(), value) for value in values] for values in (one, other)]  # type: ignore[arg-type]
    found = first_difference(iter(made[0]), iter(made[1]))
    if one == other:
        assert found == len(one)
        return
    assert isinstance(found, Difference)
    assert one[: found.equal] == other[: found.equal]
    assert one[found.equal : found.equal + 1] != other[found.equal : found.equal + 1]
    rest, other_rest = one[found.equal + len(found.left) :], other[found.equal + len(found.right) :]
    assert rest[: found.agree] == other_rest[: found.agree]


def test_squeezing_takes_polls_together(tmp_path: Path) -> None:
    trace_of(tmp_path, "a", [1, 1, 1, 2, 1])
    with TraceFile(tmp_path / "a") as trace:
        assert [each.value for each in elements(trace.accesses(), squeeze=True)] == [1, 2, 1]
