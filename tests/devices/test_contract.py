# SPDX-License-Identifier: GPL-2.0-or-later
"""What every chip owes the machine, whatever it is: run over all of CHIPS, and over PARTS without the ports."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperport.bus.device import PortDevice
from hyperport.bus.port_bus import PortBus
from hyperport.devices import CHIPS, PARTS
from hyperport.errors import StateError
from hyperport.lines.attention import Attention
from hyperport.lines.irq import IrqLine
from hyperport.lines.listener import Listener
from hyperport.time.clock import VirtualClock

NAMES = sorted(CHIPS)
STATEFUL = sorted(CHIPS | PARTS)

# One step of a wild guest: offset (taken modulo span), size, value to write or None to read, time that passes first.
STEP = st.tuples(
    st.integers(0, 255),
    st.sampled_from([1, 2, 4]),
    st.none() | st.integers(0, 0xFFFFFFFF) | st.integers(0, 0xFF),
    st.sampled_from([0, 0, 0, 1, 1000, 838_000, 54_925_400, 1_000_000_000]),
)
STEPS = st.lists(STEP, max_size=60)
HOSTILE: st.SearchStrategy[Any] = (
    st.sampled_from([None, -1, 1 << 80, 1.5, "x", b"", [], [0] * 1000, [-1], [1 << 70], {}, True]) | st.integers()
)

Guest = list[tuple[int, int, int | None, int]]


def make(name: str, clock: VirtualClock | None = None) -> Any:
    return (CHIPS | PARTS)[name](Attention(), clock or VirtualClock())


def run(chip: Any, clock: VirtualClock, steps: Guest) -> list[int]:
    """Let the guest run, or what drives the inputs of a part without ports; returns what it read."""
    answers = []
    inputs = [] if isinstance(chip, PortDevice) else [IrqLine(chip, number) for number in range(16)]
    for offset, size, value, ns in steps:
        clock.advance(ns)
        if inputs:
            inputs[offset % len(inputs)].set(value)
        elif value is None:
            answers.append(chip.read(offset % chip.span, size))
        else:
            chip.write(offset % chip.span, size, value)
    return answers


@pytest.mark.parametrize("name", sorted(PARTS))
def test_a_part_without_ports_is_no_port_device(name: str) -> None:
    part = make(name)
    assert part.name == name
    assert isinstance(part, Listener)
    assert not isinstance(part, PortDevice)


@pytest.mark.parametrize("name", NAMES)
def test_says_what_it_is(name: str) -> None:
    chip = make(name)
    assert chip.name == name
    assert 1 <= chip.span <= 256
    assert set() < set(chip.widths) <= {1, 2, 4}
    assert set(chip.widths_at) <= set(range(chip.span))
    for offset in range(chip.span):
        assert set() < set(chip.takes(offset)) <= {1, 2, 4}


@pytest.mark.parametrize("name", NAMES)
@given(steps=STEPS, turn=st.sampled_from(["run", "reset", "load"]))
def test_each_change_of_an_attribute_is_published(name: str, steps: Guest, turn: str) -> None:
    """What the bus knows of a chip's registers is what the chip says, whatever has happened."""
    clock = VirtualClock()
    chip = make(name, clock)
    bus = PortBus()
    bus.attach(chip, 0x100)
    record = chip.save()
    run(chip, clock, steps)
    if turn == "reset":
        chip.reset()
    elif turn == "load":
        chip.load(record)
    for offset in range(chip.span):
        sizes = sum(chip.takes(offset))
        assert chip.attributes_at(offset) >> 6 == 0
        assert bus.attributes.at(0x100 + offset) == chip.attributes_at(offset) & (sizes | sizes << 3)


@pytest.mark.parametrize("name", NAMES)
@given(steps=STEPS)
def test_any_guest_is_answered(name: str, steps: Guest) -> None:
    clock = VirtualClock()
    chip = make(name, clock)
    for (_, size, _, _), answer in zip([s for s in steps if s[2] is None], run(chip, clock, steps), strict=True):
        assert 0 <= answer < 1 << 8 * size


@pytest.mark.parametrize("name", NAMES)
@given(steps=STEPS)
def test_blocks_are_the_same_as_single_accesses(name: str, steps: Guest) -> None:
    clock = VirtualClock()
    single, block = make(name, clock), make(name, clock)
    for offset, size, value, ns in steps:
        clock.advance(ns)
        at = offset % single.span
        if value is None:
            answers = b"".join(single.read(at, size).to_bytes(size, "little") for _ in range(5))
            assert block.read_block(at, size, 5) == answers
        else:
            elements = [value >> shift & (1 << 8 * size) - 1 for shift in (0, 0, 8, 16, 0)]
            for element in elements:
                single.write(at, size, element)
            block.write_block(at, size, b"".join(element.to_bytes(size, "little") for element in elements))
        assert block.save() == single.save()


@pytest.mark.parametrize("name", STATEFUL)
@given(before=STEPS, after=STEPS)
def test_saved_state_is_the_whole_state(name: str, before: Guest, after: Guest) -> None:
    clock = VirtualClock()
    chip = make(name, clock)
    run(chip, clock, before)
    record = chip.save()
    other_clock = VirtualClock()
    other_clock.advance(clock.now_ns())
    other = make(name, other_clock)
    other.load(record)
    assert other.save() == record
    assert other_clock.next_deadline_ns() == clock.next_deadline_ns()
    assert run(other, other_clock, after) == run(chip, clock, after)
    assert other.save() == chip.save()


@pytest.mark.parametrize("name", STATEFUL)
@given(steps=STEPS)
def test_reset_is_power_on(name: str, steps: Guest) -> None:
    clock = VirtualClock()
    chip = make(name, clock)
    run(chip, clock, steps)
    chip.reset()
    fresh = make(name, clock)
    assert chip.save() == fresh.save()
    if isinstance(chip, PortDevice):
        assert [chip.read(offset) for offset in range(chip.span)] == [fresh.read(at) for at in range(fresh.span)]


@pytest.mark.parametrize("name", STATEFUL)
@given(data=st.data(), steps=STEPS)
def test_hostile_records_are_refused_or_harmless(name: str, data: st.DataObject, steps: Guest) -> None:
    clock = VirtualClock()
    chip = make(name, clock)
    record = chip.save()
    for field in record:
        if data.draw(st.booleans()):
            record[field] = data.draw(HOSTILE)
    before = chip.save()
    try:
        chip.load(record)
    except StateError:
        assert chip.save() == before, "a refused record leaves no trace"
    run(chip, clock, steps)
    chip.save()


@pytest.mark.parametrize("name", STATEFUL)
def test_records_with_wrong_fields_are_refused(name: str) -> None:
    chip = make(name)
    record = chip.save()
    with pytest.raises(StateError):
        chip.load(record | {"no-such-field": 0})
    for field in record:
        with pytest.raises(StateError):
            chip.load({key: value for key, value in record.items() if key != field})
        for value in (None, -1, "x", 1.5, 1 << 80, [1 << 70], [-1], [0] * 100_000):
            with pytest.raises(StateError):
                chip.load(record | {field: value})


@pytest.mark.parametrize("name", STATEFUL)
@given(data=st.data(), steps=STEPS)
def test_records_of_the_right_shape_are_refused_or_harmless(name: str, data: st.DataObject, steps: Guest) -> None:
    clock = VirtualClock()
    chip = make(name, clock)
    record = chip.save()
    for field, value in record.items():
        if isinstance(value, int):
            record[field] = data.draw(
                st.just(value) | st.integers(0, 1) | st.integers(0, 255) | st.integers(0, 1 << 64)
            )
        elif data.draw(st.booleans()):
            record[field] = data.draw(st.lists(st.integers(0, 255), min_size=len(value), max_size=len(value) or 20))
    try:
        chip.load(record)
    except StateError:
        return
    kept = chip.save()
    run(chip, clock, steps)
    chip.load(kept)
    assert chip.save() == kept
