# SPDX-License-Identifier: GPL-2.0-or-later
"""The VGA's memory by its window, against a model that is written from the manual, plane by plane and bit by bit."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperport import Machine
from hyperport.bus.access import Direction
from tests.devices.vga_modes import MODES, set_mode

WINDOWS = ((0x00000, 0x20000), (0x00000, 0x10000), (0x10000, 0x8000), (0x18000, 0x8000))
A0000 = 0xA0000
SEQUENCER, GRAPHICS, MISC = 0x3C4, 0x3CE, 0x3C2


class Model:
    """Four planes and latches, a bit at a time."""

    def __init__(self) -> None:
        self.planes = [bytearray(1 << 16) for _ in range(4)]
        self.latches = [0] * 4
        self.sequencer = [3, 0, 0xF, 0, 6]
        self.graphics = [0, 0, 0, 0, 0, 0, 5, 0xF, 0xFF]
        self.misc = 0x67

    def within(self, address: int) -> int | None:
        """Where in the window; None where it does not answer."""
        first, size = WINDOWS[self.graphics[6] >> 2 & 3]
        return address - first if self.misc & 2 and first <= address < first + size else None

    @property
    def chain_4(self) -> bool:
        return bool(self.sequencer[4] & 8)

    def offset(self, at: int) -> int:
        if self.chain_4:
            return at & 0xFFFC
        if self.graphics[6] & 2:
            return at & 0xFFFE | (at >> 16 if not self.graphics[6] & 0x0C else 0)
        return at & 0xFFFF

    def load(self, address: int) -> int:
        at = self.within(address)
        if at is None:
            return 0xFF
        self.latches = [plane[self.offset(at)] for plane in self.planes]
        if self.graphics[5] & 8:
            return sum(self.matches(7 - bit) << 7 - bit for bit in range(8))
        number = self.graphics[4]
        if self.chain_4:
            number = at & 3
        elif self.graphics[5] & 0x10:
            number = number & 2 | at & 1
        return self.latches[number]

    def matches(self, bit: int) -> bool:
        """Whether the dot has the compared colour, in the planes that are cared for."""
        colour, care = self.graphics[2], self.graphics[7]
        return all(self.latches[p] >> bit & 1 == colour >> p & 1 for p in range(4) if care >> p & 1)

    def store(self, address: int, value: int) -> None:
        at = self.within(address)
        if at is None:
            return
        mode, rotate = self.graphics[5] & 3, self.graphics[3] & 7
        turned = value >> rotate | value << 8 - rotate & 0xFF
        mask = 0xFF if mode == 1 else self.graphics[8] & (turned if mode == 3 else 0xFF)
        for number in range(4):
            if not self.takes(number, at):
                continue
            set_reset = 0xFF if self.graphics[0] >> number & 1 else 0
            latch = self.latches[number]
            data = {
                0: set_reset if self.graphics[1] >> number & 1 else turned,
                1: latch,
                2: 0xFF if value >> number & 1 else 0,
                3: set_reset,
            }[mode]
            if mode != 1:
                data = (data, data & latch, data | latch, data ^ latch)[self.graphics[3] >> 3]
            self.planes[number][self.offset(at)] = data & mask | latch & ~mask & 0xFF

    def takes(self, number: int, at: int) -> bool:
        """Whether this plane is written."""
        if not self.sequencer[2] >> number & 1:
            return False
        if self.chain_4:
            return number == at & 3
        return bool(self.sequencer[4] & 4) or number & 1 == at & 1


class Card:
    """A machine's VGA, by its ports and by loads and stores."""

    def __init__(self, machine: Machine | None = None) -> None:
        self.machine = machine or Machine(engine="scripted", memory=1 << 20)
        self.vcpu: Any = self.machine.engine.vcpu  # type: ignore[attr-defined]
        self.vga = self.machine.board.vga
        self.memory = next(region for region in self.machine.memory.map.regions() if region.name == "vga-memory")

    def outp(self, port: int, value: int) -> None:
        self.machine.bus.outp(port, 1, value)

    def set(self, index: int, register: int, value: int) -> None:
        self.outp(index, register)
        self.outp(index + 1, value)

    def load(self, address: int, size: int = 1) -> int:
        return int(self.vcpu.load_store(Direction.IN, A0000 + address, size))

    def store(self, address: int, value: int, size: int = 1) -> None:
        self.vcpu.load_store(Direction.OUT, A0000 + address, size, value)

    def mode(self, name: str) -> None:
        set_mode(MODES[name], self.outp, self.machine.bus.inp)

    def plane(self, number: int) -> bytes:
        return self.vga.plane_bytes()[number::4]


REGISTERS = st.sampled_from(
    [(SEQUENCER, 2), (SEQUENCER, 4), *((GRAPHICS, number) for number in (0, 1, 2, 3, 4, 5, 6, 7, 8)), (MISC, 0)]
)
BITS = {(SEQUENCER, 2): 0x0F, (SEQUENCER, 4): 0x0E, (MISC, 0): 0x02, (GRAPHICS, 5): 0x1B, (GRAPHICS, 6): 0x0F}
SMALL = dict(enumerate((15, 15, 15, 31, 3, 0x1B, 15, 15, 255)))
ADDRESS = st.one_of(
    st.integers(0, 40),
    st.integers(0x18000, 0x18040),
    st.integers(0xFFF8, 0x10008),
    st.integers(0, 0x1FFFF),
)
STEP = st.one_of(
    st.tuples(st.just("set"), REGISTERS, st.integers(0, 255)),
    st.tuples(st.just("mode"), st.sampled_from(sorted(MODES)), st.just(0)),
    st.tuples(st.just("load"), ADDRESS, st.just(0)),
    st.tuples(st.just("store"), ADDRESS, st.integers(0, 255)),
)
card_of_all: list[Card] = []


def fresh() -> Card:
    """A card with zeros in its planes, in mode 12h. One machine serves all examples: to make one takes longer."""
    card = card_of_all[0] if card_of_all else Card()
    card_of_all[:] = [card]
    card.mode("12h: 640 x 480, 16 colours")
    card.outp(MISC, 0x67)
    card.memory.write(0, bytes(4 << 16))
    for address in (0, 0x18000):
        card.load(address)  # the latches are zeros too
    return card


@settings(max_examples=300)
@given(st.lists(STEP, max_size=60))
def test_any_sequence_does_what_the_manual_says(steps: list[tuple[str, Any, int]]) -> None:
    """Also where the window is plain memory for a while, but for latches: they are refilled after each such load."""
    card, model = fresh(), Model()
    model.sequencer = list(MODES["12h: 640 x 480, 16 colours"].sequencer)
    model.graphics = list(MODES["12h: 640 x 480, 16 colours"].graphics)
    for what, where, value in steps:
        if what == "mode":
            card.mode(where)
            model.misc, sequencer, _, graphics, _ = MODES[where]
            model.sequencer, model.graphics = list(sequencer), list(graphics)
        elif what == "set":
            port, register = where
            value &= BITS.get(where, SMALL.get(register, 0xFF))
            if port == MISC:
                model.misc = value | 0x65
                card.outp(MISC, model.misc)
            else:
                (model.sequencer if port == SEQUENCER else model.graphics)[register] = value
                card.set(port, register, value)
        elif what == "store":
            model.store(where, value)
            card.store(where, value)
        elif card.machine.memory.map.at(A0000 + where) == "ram":
            kept = model.latches
            assert card.load(where) == model.load(where)
            model.latches = kept
        else:
            assert card.load(where) == model.load(where)
    for number in range(4):
        assert card.plane(number) == bytes(model.planes[number])


@pytest.mark.parametrize("size", [2, 4])
def test_wide_accesses_are_bytes_lowest_first(size: int) -> None:
    card = fresh()
    card.store(16, 0x44332211, size)
    assert card.plane(0)[16:20] == bytes([0x11, 0x22, 0x33, 0x44])[:size].ljust(4, b"\0")
    assert card.load(16, size) == 0x44332211 & (1 << 8 * size) - 1
    card.set(GRAPHICS, 5, 1)
    card.store(100, 0)  # the latches are those of the last byte
    assert card.plane(2)[100] == (0x44 if size == 4 else 0x22)


# Windows: what is mapped, and that nothing is lost on the way.


def layout(card: Card) -> list[tuple[int, int, str]]:
    return [(low, high, name) for low, high, _, name in card.machine.memory.map.layout() if 0xA0000 <= low < 0xC0000]


def test_what_is_mapped_in_each_mode() -> None:
    card = Card()
    assert layout(card) == [(0xB8000, 0xFFFFF, "RAM")]
    chip = [(0xA0000, 0xAFFFF, "vga"), (0xB0000, 0xBFFFF, "vga")]
    seen = {}
    for name in MODES:
        card.mode(name)
        seen[name.split(":")[0]] = layout(card)
    linear = [(0xA0000, 0xAFFFF, "vga-linear"), (0xB0000, 0xBFFFF, "vga")]
    text = [(0xB8000, 0xFFFFF, "RAM")]
    expected = {"01h": text, "03h": text, "04h": text, "13h": linear}
    assert seen == {name: expected.get(name, chip) for name in seen}


def test_text_outlives_a_change_of_the_mode() -> None:
    card = Card()
    card.machine.memory.write(0xB8000, b"T\x07e\x17x\x27t\x37")
    card.set(SEQUENCER, 4, 6)
    card.set(GRAPHICS, 5, 0)
    card.set(GRAPHICS, 6, 4)
    card.set(GRAPHICS, 4, 0)
    assert bytes(card.load(at) for at in range(0, 8, 2)) == b"Text"
    card.set(GRAPHICS, 4, 1)
    assert bytes(card.load(at) for at in range(0, 8, 2)) == b"\x07\x17\x27\x37"
    card.set(SEQUENCER, 2, 1)
    card.store(2, ord("E"))
    card.mode("03h: 80 x 25 text")
    assert card.machine.memory.read(0xB8000, 8) == b"T\x07E\x17x\x27t\x37"
    assert card.machine.display.text()[0] == "TExt"


def test_a_chained_window_is_the_planes() -> None:
    card = Card()
    card.mode("13h: 320 x 200, 256 colours")
    for address in range(0, 0x10000, 0x1111):
        card.store(address, address & 0xFF | 1)
    for address in range(0, 0x10000, 0x1111):
        assert card.plane(address & 3)[address & 0xFFFC] == address & 0xFF | 1
    card.set(SEQUENCER, 4, 6)
    card.set(GRAPHICS, 4, 0x1111 & 3)
    assert card.load(0x1111 & 0xFFFC) == 0x11


def dispi(card: Card, register: int, value: int) -> None:
    card.machine.bus.outp(0x1CE, 2, register)
    card.machine.bus.outp(0x1CF, 2, value)


def switch_on(card: Card, width: int, height: int, bits: int, flags: int = 0x41) -> None:
    for register, value in ((4, 0), (1, width), (2, height), (3, bits), (4, flags)):
        dispi(card, register, value)


def test_banks_are_pieces_of_the_frame_buffer() -> None:
    card = Card()
    switch_on(card, 640, 480, 8)
    for bank in (0, 3, 255):
        dispi(card, 5, bank)
        card.store(0x1234, 0x80 | bank & 0x7F)
        assert card.memory.read(bank * 0x10000 + 0x1234, 1) == bytes([0x80 | bank & 0x7F])
    dispi(card, 4, 0)
    assert layout(card) == [(0xB8000, 0xFFFFF, "RAM")]


def test_text_is_back_when_the_frame_buffer_goes() -> None:
    card = Card()
    card.machine.memory.write(0xB8000, b"a\x07b\x07")
    switch_on(card, 640, 480, 32, 0x41 | 0x80)
    assert card.machine.display.text() == []
    dispi(card, 4, 0)
    assert card.machine.display.text()[0] == "ab"


def test_four_bits_a_pixel_use_the_planes_beyond_64_kib() -> None:
    card = Card()
    card.mode("12h: 640 x 480, 16 colours")
    switch_on(card, 1024, 768, 4)
    card.set(GRAPHICS, 5, 2)
    dispi(card, 5, 1)
    at = 1024 // 8 * 700 + 77  # of the byte with line 700's pixels 616 to 623
    card.store(at & 0xFFFF, 11)
    picture = card.machine.display.screen().picture()
    assert (picture.width, picture.height) == (1024, 768)
    shown = [(i % 1024, i // 1024) for i, pixel in enumerate(picture.pixels) if pixel]
    assert shown == [(x, 700) for x in range(616, 624)]
    assert set(picture.pixels) == {0, 11}


@pytest.mark.parametrize(
    ("change", "back"),
    [((1, 5), (1, 640)), ((2, 0), (2, 480)), ((3, 7), (3, 8)), ((6, 9000), (6, 640)), ((9, 60000), (9, 0))],
)
def test_geometry_that_there_is_not_is_brought_to_what_there_is(change: tuple[int, int], back: tuple[int, int]) -> None:
    card = Card()
    switch_on(card, 640, 480, 8)
    dispi(card, *change)
    frame = card.machine.board.display.dispi.frame()
    assert frame is not None
    width, height, bits, pixels = frame
    assert len(pixels) == width * height * ((bits + 7) // 8)
    dispi(card, *back)
    frame = card.machine.board.display.dispi.frame()
    assert frame is not None
    assert frame[:3] == (640, 480, 8)


def test_the_most_that_there_can_be() -> None:
    card = Card()
    dispi(card, 4, 2)
    most = []
    for register in (1, 2, 3, 10):
        card.machine.bus.outp(0x1CE, 2, register)
        most.append(card.machine.bus.inp(0x1CF, 2))
    assert most == [2560, 1600, 32, 256]
    switch_on(card, 2560, 1600, 32)
    card.memory.write(2560 * 1600 * 4 - 4, b"\x01\x02\x03\x00")
    picture = card.machine.display.screen().picture()
    assert picture.pixels[-3:] == b"\x03\x02\x01"


def test_a_dac_of_eight_bits() -> None:
    card = Card()
    switch_on(card, 64, 64, 8, 0x61)
    card.outp(0x3C8, 0)
    for part in (0x81, 0x7F, 0xFF):
        card.outp(0x3C9, part)
    card.outp(0x3C7, 0)
    assert [card.machine.bus.inp(0x3C9) for _ in range(3)] == [0x81, 0x7F, 0xFF]
    picture = card.machine.display.screen().picture()
    assert picture.palette is not None
    assert picture.palette[0] == (0x81, 0x7F, 0xFF)


def test_monochrome_text_is_at_b0000() -> None:
    card = Card()
    card.outp(MISC, 0x66)
    card.set(GRAPHICS, 6, 0x0A)
    for at, byte in enumerate(b"m\x07o\x07n\x07o\x07"):
        card.store(0x10000 + at, byte)
    assert card.load(0x18000) == 0xFF, "nobody is at B8000h"
    assert card.machine.display.text()[0] == "mono"
    assert card.machine.bus.inp(0x3D4) == 0xFF
    assert card.machine.bus.inp(0x3B4) != 0xFF


def test_memory_can_be_switched_off() -> None:
    card = Card()
    card.machine.memory.write(0xB8000, b"x\x07")
    card.outp(MISC, 0x65)
    card.store(0x18000, ord("y"))
    assert card.load(0x18000) == 0xFF
    card.outp(MISC, 0x67)
    assert card.load(0x18000) == ord("x")
