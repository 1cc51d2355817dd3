# SPDX-License-Identifier: GPL-2.0-or-later
"""The interrupt controllers, by themselves and against a slow model written from the data sheet's sentences."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperport.devices.pic8259 import Pic8259
from hyperport.devices.pit8254 import Pit8254
from hyperport.errors import StateError
from hyperport.lines.attention import Attention
from hyperport.lines.irq import IrqLine
from hyperport.time.clock import VirtualClock

INTR_FLAG = 1
MASTER, SLAVE, ELCR = 0, 2, 4


class Pair:
    """The chip with its wires, initialised as on a PC, nothing masked."""

    def __init__(self, master4: int = 0x01, slave4: int = 0x01) -> None:
        self.attention = Attention()
        self.pic = Pic8259(self.attention)
        self.pins = self.pic.pins()
        self.irq = [IrqLine(self.pic, n) for n in range(16)]
        self.out(0, 0x11, 2, 0x11, 1, 0x20, 3, 0x28, 1, 0x04, 3, 0x02, 1, master4, 3, slave4)

    def out(self, *pairs: int) -> None:
        for offset, value in zip(pairs[::2], pairs[1::2], strict=True):
            self.pic.write(offset, 1, value)

    def irr(self, chip: int = MASTER) -> int:
        self.pic.write(chip, 1, 0x0A)
        return self.pic.read(chip)

    def isr(self, chip: int = MASTER) -> int:
        self.pic.write(chip, 1, 0x0B)
        return self.pic.read(chip)

    def take(self) -> int | None:
        return self.pins.take_vector() if self.pins.pending() else None


def test_power_on_is_masked_and_quiet() -> None:
    pic = Pic8259(Attention())
    IrqLine(pic, 3).set(1)
    assert not pic.pins().pending()
    assert pic.read(1) == pic.read(3) == 0xFF


@pytest.mark.parametrize("irq", [n for n in range(16) if n != 2])
def test_vector_in_service_and_eoi(irq: int) -> None:
    pair = Pair()
    pair.irq[irq].set(1)
    assert pair.attention.pending_flags() == INTR_FLAG
    assert pair.take() == 0x20 + irq
    assert pair.attention.pending_flags() == 0
    assert pair.isr(MASTER) == (1 << irq if irq < 8 else 0x04)
    assert pair.isr(SLAVE) == (1 << irq) >> 8
    pair.out(SLAVE, 0x20, MASTER, 0x20)
    assert (pair.isr(MASTER), pair.isr(SLAVE)) == (0, 0)
    assert pair.take() is None, "a wire that stays high makes no second edge"
    pair.irq[irq].pulse()
    assert pair.take() == 0x20 + irq


def test_input_2_is_not_connected() -> None:
    pair = Pair()
    pair.irq[2].set(1)
    assert (pair.take(), pair.irr()) == (None, 0)


def test_priority_and_nesting() -> None:
    pair = Pair()
    for irq in (5, 9, 1):
        pair.irq[irq].set(1)
    assert pair.take() == 0x21
    assert pair.take() is None
    pair.out(MASTER, 0x20)
    assert pair.take() == 0x29
    pair.irq[0].set(1)
    assert pair.take() == 0x20, "a higher level interrupts a lower one in service"
    pair.out(MASTER, 0x20, MASTER, 0x20)
    assert pair.take() == 0x25


def test_mask_holds_a_request_back() -> None:
    pair = Pair()
    pair.out(1, 0x10)
    pair.irq[4].set(1)
    assert (pair.irr(), pair.take(), pair.pic.read(1)) == (0x10, None, 0x10)
    pair.out(1, 0)
    assert pair.take() == 0x24


def test_request_withdrawn_before_inta_is_spurious_7() -> None:
    pair = Pair()
    pair.irq[3].set(1)
    pair.irq[3].set(0)
    assert pair.attention.pending_flags() == 0
    assert pair.pins.take_vector() == 0x27
    assert pair.isr() == 0


def test_slave_request_withdrawn_takes_the_masters_with_it() -> None:
    pair = Pair()
    pair.irq[9].set(1)
    assert pair.irr(MASTER) == 0x04
    pair.irq[9].set(0)
    assert (pair.irr(MASTER), pair.irr(SLAVE), pair.take()) == (0, 0, None)


def test_level_triggered_asks_again_until_withdrawn() -> None:
    pair = Pair()
    pair.out(ELCR, 0x20, ELCR + 1, 0x08)
    for irq in (5, 11):
        pair.irq[irq].set(1)
        assert pair.take() == 0x20 + irq
        assert pair.take() is None
        pair.out(SLAVE, 0x20, MASTER, 0x20)
        assert pair.take() == 0x20 + irq
        pair.irq[irq].set(0)
        pair.out(SLAVE, 0x20, MASTER, 0x20)
        assert pair.take() is None


def test_elcr_bits_of_board_devices_are_zero() -> None:
    pair = Pair()
    pair.out(ELCR, 0xFF, ELCR + 1, 0xFF)
    assert (pair.pic.read(ELCR), pair.pic.read(ELCR + 1)) == (0xF8, 0xDE)


def test_ltim_makes_all_inputs_level_triggered() -> None:
    pair = Pair()
    pair.irq[1].set(1)
    pair.out(0, 0x19, 1, 0x40, 1, 0x04, 1, 0x01)
    assert (pair.irr(), pair.take()) == (0x02, 0x41)


def test_icw1_clears_mask_edges_and_modes() -> None:
    pair = Pair()
    pair.out(1, 0xFF, MASTER, 0x68, MASTER, 0xC3, MASTER, 0x0B)
    pair.irq[6].set(1)
    pair.out(0, 0x11)
    assert pair.pic.read(0) == 0, "reads give IRR, whose edges are forgotten"
    pair.out(1, 0x40, 1, 0x04, 1, 0x01)
    assert pair.pic.read(1) == 0
    assert pair.take() is None
    pair.irq[6].pulse()
    pair.irq[4].set(1)
    assert pair.take() == 0x44, "level 7 is the lowest again"


@pytest.mark.parametrize(("icw1", "words"), [(0x10, 2), (0x11, 3), (0x12, 1), (0x13, 2)])
def test_number_of_icws(icw1: int, words: int) -> None:
    pair = Pair()
    pair.out(0, icw1)
    for _ in range(words):
        pair.out(1, 0x00)
    assert pair.pic.read(1) == 0
    pair.out(1, 0xA5)
    assert pair.pic.read(1) == 0xA5


def test_single_chip_answers_level_2_itself() -> None:
    pair = Pair()
    pair.out(0, 0x13, 1, 0x50, 1, 0x01)
    pair.irq[8].set(1)
    assert pair.take() == 0x52


def test_slave_with_a_wrong_number_leaves_the_bus_floating() -> None:
    pair = Pair()
    pair.out(2, 0x11, 3, 0x70, 3, 0x05, 3, 0x01)
    pair.irq[8].set(1)
    assert pair.take() == 0xFF


def test_automatic_eoi() -> None:
    pair = Pair(master4=0x03, slave4=0x03)
    for irq in (8, 12, 3):
        pair.irq[irq].set(1)
    assert [pair.take() for _ in range(4)] == [0x28, 0x2C, 0x23, None]
    assert (pair.isr(MASTER), pair.isr(SLAVE)) == (0, 0)


def test_rotate_in_automatic_eoi() -> None:
    pair = Pair(master4=0x03)
    pair.out(MASTER, 0x80)
    taken = []
    for _ in range(4):
        for irq in (4, 5):
            pair.irq[irq].pulse()
        taken.append(pair.take())
    assert taken == [0x24, 0x25, 0x24, 0x25]
    pair.out(MASTER, 0x00)
    for irq in (4, 5):
        pair.irq[irq].pulse()
    assert pair.take() == 0x24
    pair.irq[4].pulse()
    assert pair.take() == 0x24, "rotation is off"


def test_rotate_on_non_specific_eoi() -> None:
    pair = Pair()
    pair.irq[4].set(1)
    pair.irq[6].set(1)
    assert pair.take() == 0x24
    pair.out(MASTER, 0xA0)
    pair.irq[4].pulse()
    assert pair.take() == 0x26, "level 4 is the lowest now"


def test_specific_eoi_and_rotate_on_specific_eoi() -> None:
    pair = Pair()
    pair.irq[4].set(1)
    assert pair.take() == 0x24
    pair.irq[1].set(1)
    assert pair.take() == 0x21
    pair.out(MASTER, 0x64)
    assert pair.isr() == 0x02
    pair.out(MASTER, 0xE1)
    assert pair.isr() == 0
    pair.irq[0].set(1)
    pair.irq[3].set(1)
    assert pair.take() == 0x23, "level 2 is the highest after level 1 became the lowest"


def test_set_priority() -> None:
    pair = Pair()
    pair.out(MASTER, 0xC4)
    pair.irq[0].set(1)
    pair.irq[5].set(1)
    assert pair.take() == 0x25


def test_special_mask_mode() -> None:
    pair = Pair()
    pair.irq[3].set(1)
    assert pair.take() == 0x23
    pair.irq[6].set(1)
    pair.out(1, 0x08, MASTER, 0x68)
    assert pair.take() == 0x26
    pair.out(MASTER, 0x20)
    assert pair.isr() == 0x08, "a non-specific EOI passes over the masked level"
    pair.out(MASTER, 0x20)
    assert pair.isr() == 0x08
    pair.out(MASTER, 0x48, 1, 0x00, MASTER, 0x20)
    assert pair.isr() == 0


def test_special_fully_nested_mode() -> None:
    for master4, second in ((0x01, None), (0x11, 0x28)):
        pair = Pair(master4=master4)
        pair.irq[10].set(1)
        assert pair.take() == 0x2A
        pair.irq[8].set(1)
        assert pair.take() == second, "a higher request from the slave that is being served"
        pair.irq[5].set(1)
        assert pair.take() is None, "levels below the slave wait in either mode"


def test_poll() -> None:
    pair = Pair()
    pair.out(MASTER, 0x0C)
    assert pair.pic.read(0) == 0
    pair.irq[5].set(1)
    pair.out(MASTER, 0x0C)
    assert pair.pic.read(1) == 0x85, "the next read of either port is the INTA"
    assert pair.pic.read(1) == 0x00
    assert (pair.isr(), pair.take()) == (0x20, None)
    pair.irq[12].set(1)
    pair.out(SLAVE, 0x0F)
    assert pair.pic.read(SLAVE) == 0x84, "poll wins over a register read asked for together"
    assert pair.pic.read(SLAVE) == 0x10
    assert (pair.isr(SLAVE), pair.irr(MASTER), pair.take()) == (0x10, 0, None)


def test_pulse_before_eoi_is_kept() -> None:
    pair = Pair()
    pair.irq[7].pulse()
    assert pair.take() == 0x27
    pair.irq[7].pulse()
    assert pair.take() is None
    pair.out(MASTER, 0x20)
    assert pair.take() == 0x27


def test_reset_keeps_wires_and_masks_all() -> None:
    pair = Pair()
    pair.irq[5].set(1)
    pair.pic.reset()
    assert not pair.pins.pending()
    assert pair.attention.pending_flags() == 0
    pair.out(ELCR, 0x20, 1, 0x00)
    assert pair.pins.pending()


def test_load_drives_intr_and_ignores_levels_it_knows() -> None:
    pair, other = Pair(), Pair()
    pair.irq[9].set(1)
    other.pic.load(pair.pic.save())
    assert other.attention.pending_flags() == INTR_FLAG
    assert other.take() == 0x29
    other.out(SLAVE, 0x20, MASTER, 0x20)
    other.irq[9].set(1)
    assert other.take() is None, "a device that drives its wire to the level it had is no edge"


@pytest.mark.parametrize(
    ("field", "value"),
    [("isr", [0]), ("imr", [0, 256]), ("next_icw", [1, 0]), ("edge", [1, 0]), ("lowest", [8, 0]), ("poll", 1)],
)
def test_load_refuses_what_no_chip_has(field: str, value: object) -> None:
    pair = Pair()
    before = pair.pic.save()
    with pytest.raises(StateError):
        pair.pic.load({**before, field: value})
    assert pair.pic.save() == before


class Model:
    """One 8259A by lists and loops: order of priority as a list, requests as a set of input numbers."""

    def __init__(self, slave: Model | None) -> None:
        self.slave = slave
        self.high: set[int] = set()
        self.edges: set[int] = set()
        self.serving: set[int] = set()
        self.masked = set(range(8))
        self.level: set[int] = set()
        self.order = list(range(8))
        self.ltim = self.sngl = self.ic4 = False
        self.vector = self.icw3 = self.icw4 = 0
        self.expected: list[int] = []
        self.show_serving = self.polled = self.special = self.rotating = False

    def wire(self, n: int, level: bool) -> None:
        if level and n not in self.high:
            self.edges.add(n)
        if level:
            self.high.add(n)
        else:
            self.high.discard(n)
            self.edges.discard(n)

    def follow_slave(self) -> None:
        if self.slave is not None:
            self.wire(2, self.slave.choice() is not None)

    def requests(self) -> set[int]:
        return {n for n in self.high if self.ltim or n in self.level or n in self.edges}

    def choice(self) -> int | None:
        for n in self.order:
            counted = n in self.serving and not (self.special and n in self.masked)
            nested = self.slave is not None and n == 2 and self.icw4 & 0x10
            if counted and not nested:
                return None
            if n in self.requests() and n not in self.masked:
                return n
            if counted:
                return None
        return None

    def rotate(self, n: int) -> None:
        while self.order[-1] != n:
            self.order.append(self.order.pop(0))

    def serve(self) -> int:
        n = self.choice()
        if n is None:
            return 7
        self.edges.discard(n)
        if not self.icw4 & 2:
            self.serving.add(n)
        elif self.rotating:
            self.rotate(n)
        return n

    def inta(self) -> int:
        n = self.serve()
        assert self.slave is not None
        if n == 2 and not self.sngl and self.icw3 & 4:
            if self.slave.icw3 & 7 != 2:
                return 0xFF
            vector = self.slave.vector + self.slave.serve()
            self.wire(2, False)
            return vector
        return self.vector + n

    def even(self, byte: int) -> None:
        if byte & 0x10:
            self.ltim, self.sngl, self.ic4 = bool(byte & 8), bool(byte & 2), bool(byte & 1)
            self.edges, self.serving, self.masked = set(), set(), set()
            self.order = list(range(8))
            self.icw3, self.icw4 = 7, 0
            self.show_serving = self.polled = self.special = self.rotating = False
            self.expected = [2] + ([] if self.sngl else [3]) + ([4] if self.ic4 else [])
        elif byte & 8:
            if byte & 0x40:
                self.special = bool(byte & 0x20)
            if byte & 2:
                self.show_serving = bool(byte & 1)
            self.polled = self.polled or bool(byte & 4)
        else:
            self.ocw2(byte >> 5, byte & 7)

    def ocw2(self, command: int, n: int) -> None:
        if command in (1, 5):
            left = [n for n in self.order if n in self.serving and not (self.special and n in self.masked)]
            if left:
                self.serving.discard(left[0])
                if command == 5:
                    self.rotate(left[0])
        elif command in (3, 7):
            self.serving.discard(n)
            if command == 7:
                self.rotate(n)
        elif command == 6:
            self.rotate(n)
        elif command in (0, 4):
            self.rotating = command == 4

    def odd(self, byte: int) -> None:
        icw = self.expected.pop(0) if self.expected else 0
        if icw == 2:
            self.vector = byte & 0xF8
        elif icw == 3:
            self.icw3 = byte
        elif icw == 4:
            self.icw4 = byte
        else:
            self.masked = {n for n in range(8) if byte >> n & 1}

    def read(self, odd: bool, master: Model | None) -> int:
        if self.polled:
            self.polled = False
            if self.choice() is None:
                return 0
            answer = 0x80 + self.serve()
            if master is not None:
                master.wire(2, False)
            return answer
        if odd:
            return bits(self.masked)
        return bits(self.serving if self.show_serving else self.requests())


def bits(levels: set[int]) -> int:
    return sum(1 << n for n in levels)


byte = st.integers(0, 255)
command = st.one_of(
    st.sampled_from([0x20, 0x20, 0x0A, 0x0B, 0x0C, 0x68, 0x48, 0x80, 0x00, 0xA0]),
    st.integers(0, 7).map(lambda n: 0x60 + n),
    st.integers(0, 7).map(lambda n: 0xC0 + n),
    st.integers(0, 7).map(lambda n: 0xE0 + n),
    byte,
)
step = st.one_of(
    st.tuples(st.just("line"), st.integers(0, 15), st.integers(0, 1)),
    st.tuples(st.just("line"), st.integers(0, 15), st.just(1)),
    st.tuples(st.just("pulse"), st.integers(0, 15), st.just(0)),
    st.tuples(st.just("out"), st.sampled_from([0, 2]), command),
    st.tuples(st.just("out"), st.sampled_from([1, 3]), byte),
    st.tuples(st.just("out"), st.sampled_from([4, 5]), byte),
    st.tuples(st.just("in"), st.integers(0, 5), st.just(0)),
    st.tuples(st.just("inta"), st.integers(0, 3), st.just(0)),
    st.tuples(st.just("init"), byte, st.sampled_from([0x01, 0x03, 0x11, 0x13])),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(step, max_size=60))
def test_pair_matches_the_model(steps: list[tuple[str, int, int]]) -> None:
    pair = Pair()
    slave = Model(None)
    master = Model(slave)
    models = [master, slave]
    for model, vector, icw3 in ((master, 0x20, 4), (slave, 0x28, 2)):
        model.even(0x11)
        for word in (vector, icw3, 1):
            model.odd(word)

    def out(offset: int, value: int) -> None:
        pair.out(offset, value)
        if offset >= 4:
            fixed = 0xDE if offset == 5 else 0xF8
            models[offset - 4].level = {n for n in range(8) if value & fixed & 1 << n}
        elif offset & 1:
            models[offset >> 1].odd(value)
        else:
            models[offset >> 1].even(value)
        master.follow_slave()

    def wire(n: int, level: int) -> None:
        pair.irq[n].set(level)
        if n != 2:
            models[n >> 3].wire(n & 7, bool(level))
        master.follow_slave()

    for kind, a, b in steps:
        if kind == "line":
            wire(a, b)
        elif kind == "pulse":
            for level in (0, 1):
                wire(a, level)
        elif kind == "out":
            out(a, b)
        elif kind == "init":
            for offset, value in ((0, 0x11 | a & 8), (1, a), (1, 4), (1, b), (2, 0x11), (3, a ^ 8), (3, 2), (3, b)):
                out(offset, value)
        elif kind == "in":
            model = models[a >> 1 & 1]
            expected = bits(models[a - 4].level) if a >= 4 else model.read(bool(a & 1), master if a >= 2 else None)
            assert pair.pic.read(a) == expected
        elif a or pair.pins.pending():  # also INTA cycles that nothing asked for
            assert pair.pins.take_vector() == master.inta()
        master.follow_slave()
        assert pair.pins.pending() == (master.choice() is not None)
        assert pair.attention.pending_flags() == (INTR_FLAG if pair.pins.pending() else 0)
        record = pair.pic.save()
        assert record["isr"] == [bits(model.serving) for model in models]
        assert record["imr"] == [bits(model.masked) for model in models]
        assert record["edge"] == [bits(model.edges) for model in models]
        twin = Pic8259(Attention())
        twin.load(record)
        assert (twin.save(), twin.pins().pending()) == (record, pair.pins.pending())


@given(
    st.lists(st.tuples(st.sampled_from([0, 1]), st.sampled_from([0x0A, 0x0B, 0x0C, 0x20, None]), st.integers(0, 10**6)))
)
def test_a_string_of_requests_is_what_single_reads_of_that_moment_give(
    steps: list[tuple[int, int | None, int]],
) -> None:
    clock = VirtualClock()
    singles, strings = Pair(), Pair()
    for pair in (singles, strings):  # each with a timer whose square wave takes its request back when it is looked at
        pit = Pit8254(clock, pair.irq[0])
        pair.pic.look_by(IrqLine(pit, 0))
        for offset, value in ((3, 0x36), (0, 0x00), (0, 0x02)):
            pit.write(offset, 1, value)
    for offset, command, ns in steps:
        clock.advance(ns)
        if command is not None:
            singles.out(MASTER, command)
            strings.out(MASTER, command)
        assert strings.pic.read_block(offset, 1, 4) == bytes(singles.pic.read(offset) for _ in range(4))
        assert strings.pic.save() == singles.pic.save()
