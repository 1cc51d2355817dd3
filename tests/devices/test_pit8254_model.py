# SPDX-License-Identifier: GPL-2.0-or-later
"""The timer under random programs, beside a model that lives pulse by pulse."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.devices.pit_board import BOTH, CONTROL, HIGH, LOW, PORT_B, Board


class Model:
    """One counter as the data sheet's timing diagrams show it: pulse() is one clock pulse."""

    def __init__(self, gate: int) -> None:
        self.gate = gate
        self.mode = self.bcd = self.out = self.element = self.register = self.low = self.frozen = 0
        self.access = BOTH
        self.half = False  # one of two bytes has come
        self.null = 1
        self.written = self.loaded = self.load = self.trigger = self.odd = self.struck = False

    @property
    def base(self) -> int:
        return 10000 if self.bcd else 65536

    def control(self, byte: int) -> None:
        self.frozen = self.shown()
        self.access, self.mode, self.bcd = byte >> 4 & 3, byte >> 1 & 7, byte & 1
        self.mode = self.mode & 3 if self.mode > 5 else self.mode
        self.out = int(self.mode != 0)
        self.null = 1
        self.half = self.written = self.loaded = self.load = self.trigger = False

    def write(self, byte: int) -> None:
        if self.mode == 0:
            self.frozen = self.shown()
            self.out, self.loaded, self.load = 0, False, False
        if self.access == BOTH and not self.half:
            self.low, self.half = byte, True
            return
        value = {LOW: byte, HIGH: byte << 8, BOTH: byte << 8 | self.low}[self.access]
        self.half = False
        digits = [value >> shift & 15 for shift in (12, 8, 4, 0)]
        number = digits[0] * 1000 + digits[1] * 100 + digits[2] * 10 + digits[3]
        self.register = (number if self.bcd else value) or self.base
        self.written, self.null = True, 1
        if self.mode in (0, 4) or (self.mode in (2, 3) and not self.loaded):
            self.load = True

    def set_gate(self, level: int) -> None:
        if level and not self.gate and self.written and self.mode in (1, 2, 3, 5):
            self.trigger = True
        if not level and self.mode in (2, 3):
            self.out = 1
        self.gate = level

    def take(self) -> None:
        self.element, self.null = self.register, 0
        if self.mode == 3:
            self.odd = self.element % 2 == 1
            self.element -= self.odd

    def pulse(self) -> None:
        if self.load or self.trigger:
            self.load = self.trigger = self.struck = False
            self.loaded = True
            self.out = int(self.mode not in (0, 1))
            self.take()
        elif self.loaded and (self.gate or self.mode in (1, 5)):
            self.step()

    def step(self) -> None:
        if self.mode == 2 and self.element == 1:
            self.out = 1
            self.take()
        elif self.mode == 3 and self.element == (0 if self.odd and self.out else 2):
            self.out ^= 1
            self.take()
        else:
            self.element -= 2 if self.mode == 3 else 1
            if self.mode in (0, 1):
                self.out |= int(self.element == 0)
            elif self.mode == 2:
                self.out = int(self.element != 1)
            elif self.mode in (4, 5):
                self.out = int(self.element != 0 or self.struck)
                self.struck = self.struck or self.element == 0
            if self.element < 0:
                self.element += self.base

    def shown(self) -> int:
        if not self.loaded:
            return self.frozen
        value = self.element % self.base
        return int(str(value), 16) if self.bcd else value

    def status(self) -> int:
        return self.out << 7 | self.null << 6


small = st.integers(2, 14)
decimal = st.integers(2, 9999).map(lambda n: int(str(n), 16))
program = st.tuples(st.just("control"), st.integers(1, 3), st.integers(0, 15))
counts = st.tuples(st.just("count"), st.one_of(small, decimal), st.just(0))
steps = st.one_of(
    program,
    counts,
    counts,
    st.tuples(st.just("byte"), st.integers(2, 9), st.just(0)),
    st.tuples(st.just("gate"), st.integers(0, 1), st.just(0)),
    st.tuples(st.just("forward"), st.integers(1, 40), st.just(0)),
    st.tuples(st.just("forward"), st.integers(1, 3), st.just(0)),
)


def to_bytes(access: int, count: int) -> list[int]:
    value = {LOW: [count & 0xFF or 2], HIGH: [count >> 8 or 1], BOTH: [count & 0xFF, count >> 8]}
    return value[access]


@settings(max_examples=400, deadline=None)
@given(st.lists(steps, max_size=40))
def test_channel_2_matches_the_model(sequence: list[tuple[str, int, int]]) -> None:
    board = Board()
    model = Model(0)
    for kind, a, b in [("control", BOTH, 0), *sequence]:
        if kind == "control":
            board.pit.write(CONTROL, 1, 2 << 6 | a << 4 | b)
            model.control(a << 4 | b)
        elif kind == "gate":
            board.gate(a)
            model.set_gate(a)
        elif kind == "forward":
            for _ in range(a):
                board.forward(1)
                model.pulse()
                assert board.pit.read(PORT_B) >> 5 & 1 == model.out
        else:
            for part in [a] if kind == "byte" else to_bytes(model.access, a):
                board.pit.write(2, 1, part)
                model.write(part)
        before = board.pit.save()
        assert board.status(2) & 0xC0 == model.status()
        board.pit.write(CONTROL, 1, 2 << 6)
        shown = [board.pit.read(2) for _ in range(2 if model.access == BOTH else 1)]
        assert shown == {
            LOW: [model.shown() & 0xFF], HIGH: [model.shown() >> 8], BOTH: [model.shown() & 0xFF, model.shown() >> 8]
        }[model.access]  # fmt: skip
        twin = Board(board.now() + 12345)
        twin.pit.load(before)
        assert twin.pit.save() == before


edge_steps = st.one_of(
    st.tuples(st.just("control"), st.sampled_from([0, 2, 3, 4])),
    st.tuples(st.just("count"), st.integers(60, 400)),
    st.tuples(st.just("count"), st.integers(60, 400)),
    st.tuples(st.just("forward"), st.integers(1, 900)),
    st.tuples(st.just("forward"), st.integers(1, 900)),
    st.tuples(st.just("reload"), st.integers(0, 10**9)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(edge_steps, max_size=20))
def test_interrupts_match_the_models_rising_edges(sequence: list[tuple[str, int]]) -> None:
    board = Board()
    model = Model(1)
    for kind, a in [("control", 2), *sequence]:
        if kind == "control":
            board.pit.write(CONTROL, 1, BOTH << 4 | a << 1)
            model.control(BOTH << 4 | a << 1)
            board.interrupts()  # OUT of the new mode may be an edge of its own
        elif kind == "count":
            board.count(0, a)
            for part in (a & 0xFF, a >> 8):
                model.write(part)
            assert not board.interrupts()
        elif kind == "reload":
            record = board.pit.save()
            tick = a + board.now()
            pic = board.pic.save()
            board = Board(tick)
            board.pic.load(pic)
            board.pit.load(record)
            assert board.pit.save() == record
            assert not board.interrupts()
        else:
            start = board.now()
            expected = []
            for tick in range(start + 1, start + a + 1):
                before = model.out
                model.pulse()
                if model.out > before:
                    expected.append(tick)
            assert board.edges(start + a) == expected
