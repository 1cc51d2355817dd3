# SPDX-License-Identifier: GPL-2.0-or-later
"""The port bus beside a model, a dict from port to (device, offset): attaching and accesses in any order."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, rule

from hyperport.bus.access import Direction
from hyperport.bus.port_bus import Path, PortBus
from hyperport.errors import ConfigError

PORTS = st.integers(0x300, 0x320) | st.integers(0xFFF8, 0xFFFF)
SIZES = st.sampled_from([1, 2, 4])
WIDTHS = st.sets(st.sampled_from([1, 2, 4]), min_size=1).map(lambda widths: tuple(sorted(widths)))
Call = tuple[int, str, int, int, int]  # device, direction, offset, size, value


class Recorder:
    """Writes down each access; what it answers depends on how often it was asked."""

    def __init__(self, number: int, span: int, widths: tuple[int, ...], calls: list[Call]) -> None:
        self.number, self.span, self.widths, self.calls = number, span, widths, calls
        self.asked = 0

    def read(self, offset: int, size: int) -> int:
        self.asked += 1
        value = (self.asked * 0x9E3779B1 + self.number) & (1 << 8 * size) - 1
        self.calls.append((self.number, "in", offset, size, value))
        return value | 0xFF << 8 * size  # bits above size are noise

    def write(self, offset: int, size: int, value: int) -> None:
        self.calls.append((self.number, "out", offset, size, value))


class BusMachine(RuleBasedStateMachine):
    """Each rule does the same to the bus and to the model."""

    devices = Bundle("devices")

    def __init__(self) -> None:
        super().__init__()
        self.bus = PortBus()
        self.calls: list[Call] = []
        self.made: list[Recorder] = []
        self.owners: dict[int, tuple[int, Recorder, int]] = {}  # port -> (window, device, offset)
        self.windows = 0
        self.counted: Counter[tuple[int, Direction, int]] = Counter()
        self.crossed: Counter[tuple[int, Direction, int]] = Counter()

    @rule(target=devices, span=st.integers(1, 12), widths=WIDTHS)
    def make(self, span: int, widths: tuple[int, ...]) -> Recorder:
        device = Recorder(len(self.made), span, widths, self.calls)
        self.made.append(device)
        return device

    @rule(device=devices, base=PORTS, span=st.none() | st.integers(1, 6), offset=st.integers(0, 6))
    def attach(self, device: Recorder, base: int, span: int | None, offset: int) -> None:
        count = device.span - offset if span is None else span
        ports = range(base, base + count)
        fits = count >= 1 and offset + count <= device.span and base + count <= 0x10000
        if not fits or any(port in self.owners for port in ports):
            with pytest.raises(ConfigError):
                self.bus.attach(device, base, span, offset)
            return
        self.bus.attach(device, base, span, offset)
        self.windows += 1
        self.owners |= {port: (self.windows, device, offset + port - base) for port in ports}

    def whole(self, port: int, size: int) -> tuple[Recorder, int] | None:
        """The device and offset that an access of size at port goes to whole, if there is one."""
        owners = [self.owners.get(at, (0, None, 0)) for at in range(port, port + size)]
        window, device, offset = owners[0]
        if device is None or size not in device.widths or any(owner[0] != window for owner in owners):
            return None
        return device, offset

    def expected(self, port: int, size: int) -> list[tuple[int, int, int, int]]:
        """The parts of an access, in order: (device or -1, offset, size, shift of its value in bits)."""
        found = self.whole(port, size)
        if found is not None:
            return [(found[0].number, found[1], size, 0)]
        if size == 1:
            return [(-1, 0, 1, 0)]
        half = size // 2
        high = [
            (device, offset, part, shift + 8 * half) for device, offset, part, shift in self.expected(port + half, half)
        ]
        return self.expected(port, half) + high

    def check_in(self, port: int, size: int, answer: int, calls: list[Call]) -> None:
        """One element: who was asked, and what the guest got of it."""
        left = iter(calls)
        for device, offset, part, shift in self.expected(port, size):
            value = (1 << 8 * part) - 1
            if device >= 0:
                *who, value = next(left)
                assert who == [device, "in", offset, part]
            assert answer >> shift & (1 << 8 * part) - 1 == value
        assert next(left, None) is None

    def parts(self, port: int, size: int) -> int:
        return sum(device >= 0 for device, *_ in self.expected(port, size))

    def told(self, port: int, size: int, value: int) -> list[Call]:
        return [
            (device, "out", offset, part, value >> shift & (1 << 8 * part) - 1)
            for device, offset, part, shift in self.expected(port, size)
            if device >= 0
        ]

    def count(self, port: int, direction: Direction, size: int, elements: int) -> None:
        self.counted[port, direction, size] += elements
        self.crossed[port, direction, size] += 1

    @rule(port=PORTS, size=SIZES)
    def read(self, port: int, size: int) -> None:
        self.calls.clear()
        self.check_in(port, size, self.bus.inp(port, size), self.calls)
        self.count(port, Direction.IN, size, 1)

    @rule(port=PORTS, size=SIZES, value=st.integers(0, 0xFFFFFFFF))
    def write(self, port: int, size: int, value: int) -> None:
        self.calls.clear()
        self.bus.outp(port, size, value)
        assert self.calls == self.told(port, size, value)
        self.count(port, Direction.OUT, size, 1)

    @rule(port=PORTS, size=SIZES, elements=st.integers(0, 5))
    def read_string(self, port: int, size: int, elements: int) -> None:
        self.calls.clear()
        data = self.bus.inp_block(port, size, elements)
        step = self.parts(port, size)
        assert len(self.calls) == step * elements
        for n in range(elements):
            answer = int.from_bytes(data[n * size : (n + 1) * size], "little")
            self.check_in(port, size, answer, self.calls[n * step : (n + 1) * step])
        self.count(port, Direction.IN, size, elements)

    @rule(port=PORTS, size=SIZES, values=st.lists(st.integers(0, 0xFFFFFFFF), max_size=5))
    def write_string(self, port: int, size: int, values: list[int]) -> None:
        self.calls.clear()
        self.bus.outp_block(port, size, b"".join((v & (1 << 8 * size) - 1).to_bytes(size, "little") for v in values))
        assert self.calls == [call for value in values for call in self.told(port, size, value)]
        self.count(port, Direction.OUT, size, len(values))

    def teardown(self) -> None:
        rows = {(row.port, row.direction, row.size): row for row in self.bus.counts()} if self.crossed else {}
        assert {key: row.crossings for key, row in rows.items()} == dict(self.crossed)
        assert {key: row.accesses for key, row in rows.items()} == {key: self.counted[key] for key in rows}
        assert all(row.path == Path.EXIT for row in rows.values())

        attached: dict[int, Any] = {id(device): device for _, device, _ in self.owners.values()}
        assert len(self.bus.devices()) == len(attached)
        for port, (_, device, _) in self.owners.items():
            assert self.bus.owner(port) == "recorder"
            assert device in self.made


TestBus = BusMachine.TestCase
TestBus.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
