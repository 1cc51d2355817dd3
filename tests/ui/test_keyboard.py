# SPDX-License-Identifier: GPL-2.0-or-later
"""Typed text arrives at the guest: through the 8042, translated to set 1, at the pace of guest and cable."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperport.devices.i8042 import I8042
from hyperport.errors import AccessError
from hyperport.host.char import CharBackend
from hyperport.lines.attention import Attention
from hyperport.time.clock import VirtualClock
from hyperport.ui.keyboard import NAMED, Keyboard, stroke

DATA, COMMAND = 0, 1
FULL = 1
BYTE_NS = 660_000

# A guest's driver, by the table of set 1: codes count through the rows of the keyboard.
ROWS = {0x02: "1234567890-=\b\tqwertyuiop[]\n", 0x1E: "asdfghjkl;'`", 0x2B: "\\zxcvbnm,./", 0x39: " ", 0x01: "\x1b"}
PLAIN = {start + place: key for start, row in ROWS.items() for place, key in enumerate(row)}
SHIFTS = dict(
    zip(
        "1234567890-=[]\\;'`,./" + string.ascii_lowercase, '!@#$%^&*()_+{}|:"~<>?' + string.ascii_uppercase, strict=True
    )
)
SHIFT, CTRL = 0x2A, 0x1D
TYPABLE = string.printable.replace("\r", "").replace("\x0b", "").replace("\x0c", "") + "\x01\x03\x04\x1a\x1b"


class Guest:
    """An 8042 and the driver that reads it."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.ring = CharBackend()
        self.ring.connect(Attention(), self.clock)
        self.keys = Keyboard(self.ring)
        self.chip = I8042(typed=self.ring, clock=self.clock)
        self.down: set[int] = set()

    def type(self, text: str) -> int:
        count = self.keys.type(text)
        self.chip.read(COMMAND)
        self.hear()
        return count

    def hear(self) -> None:
        """What the machine does when host input has arrived: here the timer, which is the cable, does it."""
        self.chip.write(COMMAND, 1, 0xAE)  # "keyboard on" makes the controller look

    def codes(self) -> list[int]:
        got: list[int] = []
        while True:
            if not self.chip.read(COMMAND) & FULL:
                self.clock.advance(BYTE_NS)
                if not self.chip.read(COMMAND) & FULL:
                    return got
            got.append(self.chip.read(DATA))

    def text(self) -> str:
        out = ""
        for code in self.codes():
            if code & 0x80:
                self.down.discard(code & 0x7F)
                continue
            self.down.add(code)
            if code in (SHIFT, CTRL):
                continue
            key = PLAIN[code]
            if CTRL in self.down:
                key = chr(ord(key) & 0x1F)
            out += SHIFTS[key] if SHIFT in self.down else key
        assert not self.down, "every key was let go"
        return out


@given(st.text(TYPABLE, max_size=60))
def test_text_arrives_as_it_was_typed(text: str) -> None:
    guest = Guest()
    assert guest.type(text) == len(text)
    assert guest.text() == text


def test_every_printable_character_is_on_the_keyboard() -> None:
    guest = Guest()
    guest.type(string.printable[:95])
    assert guest.text() == string.printable[:95]


@pytest.mark.parametrize("text", ["é", "a\u20acb", "\0", "\x1c"])
def test_what_no_key_gives_is_refused_whole(text: str) -> None:
    guest = Guest()
    with pytest.raises(AccessError, match="not on a US keyboard"):
        guest.keys.type("abc" + text)
    guest.hear()
    assert guest.codes() == []


def test_keys_together() -> None:
    assert stroke("ctrl", "alt", "delete") == bytes.fromhex("14 11 e071 e0f071 f011 f014")
    with pytest.raises(AccessError, match="no key 'super'"):
        stroke("super")


def test_extended_keys_come_with_their_prefix() -> None:
    guest = Guest()
    assert guest.keys.press("up")
    guest.hear()
    assert guest.codes() == [0xE0, 0x48, 0xE0, 0xC8]


@pytest.mark.parametrize("name", NAMED)
def test_every_named_key_is_pressed_and_let_go(name: str) -> None:
    guest = Guest()
    guest.keys.press(name)
    guest.hear()
    codes = [code for code in guest.codes() if code != 0xE0]
    assert len(codes) == 2
    assert codes[1] == codes[0] | 0x80


def test_nothing_is_lost_and_nothing_grows_when_the_guest_does_not_read() -> None:
    guest = Guest()
    taken = guest.type("a" * 100_000)
    assert 10_000 < taken < 30_000
    assert guest.keys.type("b") == 0
    assert guest.text() == "a" * taken
    assert guest.type("b") == 1
    assert guest.text() == "b"


def test_a_driver_that_empties_the_buffer_finds_it_empty() -> None:
    guest = Guest()
    guest.type("many keys before the driver is there")
    flushed = 0
    while guest.chip.read(COMMAND) & FULL:
        guest.chip.read(DATA)
        guest.clock.advance(50_000)
        flushed += 1
    assert flushed == 1


def test_a_keyboard_that_is_held_keeps_what_is_typed() -> None:
    guest = Guest()
    guest.chip.write(COMMAND, 1, 0xAD)
    guest.keys.type("held")
    guest.clock.advance(10 * BYTE_NS)
    assert not guest.chip.read(COMMAND) & FULL
    guest.hear()
    assert guest.text() == "held"
