# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperport.devices.i8042 import I8042
from hyperport.errors import AccessError, StateError
from hyperport.lines.attention import Attention, StopKind, StopPin
from hyperport.lines.irq import IrqLine

FULL, SYSTEM, COMMAND, OPEN, AUX, TIMEOUT = 0x01, 0x04, 0x08, 0x10, 0x20, 0x40
UNTRANSLATED = 0x25
A_MAKE = 0x1C


class Rig:
    """A controller with probes: the interrupt and reset lines remember rising edges."""

    def __init__(self) -> None:
        self.attention = Attention()
        pins = StopPin(self.attention)
        self.irq1 = IrqLine(pins, StopKind.HALT)
        self.irq12 = IrqLine(pins, StopKind.PAUSE)
        self.reset = IrqLine(pins, StopKind.RESET)
        self.a20 = IrqLine()
        self.chip = I8042(self.irq1, self.irq12, self.reset, self.a20)

    def status(self) -> int:
        return self.chip.read(1)

    def command(self, *values: int) -> None:
        self.chip.write(1, 1, values[0])
        for value in values[1:]:
            self.chip.write(0, 1, value)

    def keyboard(self, *values: int) -> list[int]:
        """Send bytes to the keyboard and take all that comes back."""
        for value in values:
            self.chip.write(0, 1, value)
        return self.drain()

    def drain(self) -> list[int]:
        got = []
        while self.status() & FULL:
            got.append(self.chip.read(0))
        return got

    def rose(self) -> StopKind:
        """Which line rose first since the last question."""
        return StopKind(self.attention.take_stop()[0])


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_power_on_is_what_firmware_leaves(rig: Rig) -> None:
    assert rig.status() == OPEN | SYSTEM
    assert rig.a20.level == 1
    assert rig.reset.level == rig.irq1.level == rig.irq12.level == 0
    rig.command(0x20)
    assert rig.drain() == [0x65]


def test_status_tells_command_from_data(rig: Rig) -> None:
    rig.command(0xAE)
    assert rig.status() == OPEN | SYSTEM | COMMAND
    rig.keyboard(0xEE)
    assert rig.status() == OPEN | SYSTEM


def test_empty_buffer_shows_the_last_byte(rig: Rig) -> None:
    rig.command(0xAA)
    assert [rig.chip.read(0) for _ in range(3)] == [0x55] * 3


@pytest.mark.parametrize(
    ("command", "answer"),
    [(0xAA, 0x55), (0xAB, 0x00), (0xA9, 0x00), (0xA4, 0xF1), (0xC0, 0xA0), (0xE0, 0x00), (0xD0, 0xCF)],
)
def test_commands_that_answer(rig: Rig, command: int, answer: int) -> None:
    rig.command(command)
    assert rig.status() == OPEN | SYSTEM | COMMAND | FULL
    assert rig.irq1.level == 1
    assert rig.drain() == [answer]
    assert rig.irq1.level == 0


def test_controller_ram(rig: Rig) -> None:
    for n in range(32):
        rig.command(0x60 + n, 0x40 | n)
    for n in range(32):
        rig.command(0x20 + n)
        assert rig.drain() == [0x40 | n]


def test_system_flag_mirrors_the_command_byte(rig: Rig) -> None:
    rig.command(0x60, 0x61)
    assert not rig.status() & SYSTEM
    rig.command(0xAA)
    assert rig.drain() == [0x55]
    assert rig.status() & SYSTEM
    rig.command(0x20)
    assert rig.drain() == [0x65]


@pytest.mark.parametrize(("command", "after"), [(0xAD, 0x75), (0xA8, 0x45)])
def test_interface_switches_show_in_the_command_byte(rig: Rig, command: int, after: int) -> None:
    rig.command(command)
    rig.command(0x20)
    assert rig.drain() == [after]
    rig.command(command ^ (0xAD ^ 0xAE if command == 0xAD else 0xA7 ^ 0xA8))
    rig.command(0x20)
    assert rig.drain() == [0x65]


def test_interrupt_1_can_be_masked(rig: Rig) -> None:
    rig.command(0x60, 0x64)
    rig.chip.inject([A_MAKE])
    assert rig.irq1.level == 0
    rig.command(0x60, 0x65)
    assert rig.irq1.level == 1


def test_each_key_byte_has_its_edge(rig: Rig) -> None:
    rig.chip.inject([A_MAKE, 0xF0, A_MAKE])
    for byte in (0x1E, 0x9E):
        assert rig.rose() == StopKind.HALT
        assert rig.chip.read(0) == byte
    assert rig.rose() == StopKind.NONE


def test_answers_do_not_overtake_the_byte_that_waits(rig: Rig) -> None:
    rig.chip.inject([A_MAKE])
    rig.command(0xAA)
    assert rig.drain() == [0x1E, 0x55]


def test_output_port_a20_and_reset(rig: Rig) -> None:
    rig.command(0xD1, 0xDD)
    assert (rig.a20.level, rig.reset.level) == (0, 0)
    rig.command(0xD0)
    assert rig.drain() == [0xCD]
    rig.command(0xDF)
    assert rig.a20.level == 1
    rig.command(0xDD)
    assert rig.a20.level == 0
    rig.command(0xD1, 0xDE)
    assert rig.reset.level == 1
    rig.command(0xD1, 0xDF)
    assert (rig.a20.level, rig.reset.level) == (1, 0)


def test_output_port_shows_the_interrupts(rig: Rig) -> None:
    rig.chip.inject([A_MAKE])
    rig.command(0xD0)
    assert rig.drain() == [0x1E, 0xDF]


@pytest.mark.parametrize("command", range(0xF0, 0x100))
def test_pulse_commands(rig: Rig, command: int) -> None:
    rig.command(command)
    assert rig.rose() == (StopKind.NONE if command & 1 else StopKind.RESET)
    assert rig.reset.level == 0
    assert rig.a20.level == 1


def test_looped_bytes_come_as_if_from_the_ports(rig: Rig) -> None:
    rig.command(0x60, 0x67)
    rig.command(0xD2, 0x1C)
    assert rig.status() & (FULL | AUX) == FULL
    assert rig.drain() == [0x1C], "not translated"
    rig.rose()
    rig.command(0xD3, 0x5A)
    assert rig.status() & (FULL | AUX) == FULL | AUX
    assert (rig.irq1.level, rig.irq12.level) == (0, 1)
    assert rig.drain() == [0x5A]
    assert rig.irq12.level == 0


def test_a_mouse_answers_on_the_second_port(rig: Rig) -> None:
    rig.command(0x60, 0x47)
    rig.command(0xD4, 0xFF)
    assert rig.status() & (FULL | AUX | TIMEOUT) == FULL | AUX
    assert (rig.rose(), rig.irq12.level, rig.irq1.level) == (StopKind.PAUSE, 1, 0)
    assert rig.drain() == [0xFA, 0xAA, 0x00]
    assert rig.irq12.level == 0


def test_a_command_cancels_one_that_waits_for_data(rig: Rig) -> None:
    rig.command(0xD1)
    rig.command(0xAE)
    assert rig.keyboard(0xEE) == [0xEE]
    assert rig.a20.level == 1


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        ([0xEE], [0xEE]),
        ([0xF2], [0xFA, 0xAB, 0x83]),
        ([0xFF], [0xFA, 0xAA]),
        ([0xF4], [0xFA]),
        ([0xF5], [0xFA]),
        ([0xF6], [0xFA]),
        ([0xED], [0xFA]),
        ([0x00], [0xFE]),
        ([0xE1], [0xFE]),
    ],
)
def test_keyboard_commands(rig: Rig, sent: list[int], answer: list[int]) -> None:
    rig.command(0x60, UNTRANSLATED)
    assert rig.keyboard(*sent) == answer


def test_keyboard_parameters(rig: Rig) -> None:
    rig.command(0x60, UNTRANSLATED)
    for command, parameter, field in ((0xED, 5, "keyboard_leds"), (0xF3, 0x7F, "keyboard_typematic")):
        assert rig.keyboard(command) == [0xFA]
        assert rig.keyboard(parameter) == [0xFA]
        assert rig.chip.save()[field] == parameter


def test_a_command_in_place_of_a_parameter_is_a_command(rig: Rig) -> None:
    rig.keyboard(0xED)
    assert rig.keyboard(0xEE) == [0xEE]
    assert rig.chip.save()["keyboard_leds"] == 0


def test_scan_code_sets(rig: Rig) -> None:
    rig.command(0x60, UNTRANSLATED)
    rig.keyboard(0xF0)
    assert rig.keyboard(0x00) == [0xFA, 0x02]
    rig.keyboard(0xF0)
    assert rig.keyboard(0x04) == [0xFE], "there is no set 4"
    rig.keyboard(0xF0)
    assert rig.keyboard(0x01) == [0xFA]
    rig.chip.inject([A_MAKE, 0xF0, A_MAKE, 0xE0, 0xF0, 0x75])
    assert rig.drain() == [0x1E, 0x9E, 0xE0, 0xC8]
    rig.keyboard(0xF0)
    assert rig.keyboard(0x00) == [0xFA, 0x01]


def set3(rig: Rig, *commands: int) -> None:
    """Untranslated set 3, then more commands to the keyboard."""
    rig.command(0x60, UNTRANSLATED)
    for byte in (0xF0, 0x03, *commands):
        assert rig.keyboard(byte) == [0xFA]


# Key by its bytes of set 2, its code of set 3, and whether it tells its release at power-on.
KEYS_SET3 = [
    ("1c", 0x1C, False),
    ("0e", 0x0E, False),
    ("5d", 0x5C, False),
    ("0d", 0x0D, False),
    ("5a", 0x5A, False),
    ("12", 0x12, True),
    ("59", 0x59, True),
    ("14", 0x11, True),
    ("11", 0x19, True),
    ("58", 0x14, True),
    ("e014", 0x58, False),
    ("e011", 0x39, False),
    ("76", 0x08, False),
    ("05", 0x07, False),
    ("83", 0x37, False),
    ("07", 0x5E, False),
    ("7e", 0x5F, False),
    ("77", 0x76, False),
    ("7b", 0x84, False),
    ("79", 0x7C, False),
    ("e05a", 0x79, False),
    ("e04a", 0x77, False),
    ("e075", 0x63, False),
    ("e06b", 0x61, False),
    ("e071", 0x64, False),
    ("e070", 0x67, False),
    ("e07a", 0x6D, False),
    ("e012e07c", 0x57, False),
]


@pytest.mark.parametrize(("keys", "code", "tells"), KEYS_SET3)
def test_set_3_has_one_code_a_key_and_a_release_by_type(rig: Rig, keys: str, code: int, tells: bool) -> None:
    press = bytes.fromhex(keys)
    release = b"".join(b"\xe0\xf0" + bytes([key]) for key in press[1::2]) if press[0] == 0xE0 else b"\xf0" + press
    set3(rig)
    rig.chip.inject(press + release)
    assert rig.drain() == [code] + [0xF0, code] * tells
    set3(rig, 0xFA)
    rig.chip.inject(press + release)
    assert rig.drain() == [code, 0xF0, code]


def test_pause_is_one_code_of_set_3(rig: Rig) -> None:
    set3(rig)
    rig.chip.inject(bytes.fromhex("e11477e1f014f077") + bytes([A_MAKE]))
    assert rig.drain() == [0x62, 0x1C]


@pytest.mark.parametrize(
    ("command", "tells"),
    [(0xF7, False), (0xF8, True), (0xF9, False), (0xFA, True), (0xFB, False), (0xFC, True), (0xFD, False)],
)
def test_types_of_keys_in_set_3(rig: Rig, command: int, tells: bool) -> None:
    set3(rig, 0xF7 if tells else 0xFA, command)
    if command >= 0xFB:  # the keys that follow, until the next command
        assert rig.chip.inject([A_MAKE]) == 0, "it does not scan meanwhile"
        for code in (0x1C, 0x84):
            assert rig.keyboard(code) == [0xFA]
        assert rig.keyboard(0xEE) == [0xEE]
    for key in (0x1C, 0x7B):
        rig.chip.inject([key, 0xF0, key])
    assert rig.drain() == [0x1C] + [0xF0, 0x1C] * tells + [0x84] + [0xF0, 0x84] * tells
    rig.chip.inject([0x1B, 0xF0, 0x1B])
    others = tells if command < 0xFB else not tells
    assert rig.drain() == [0x1B] + [0xF0, 0x1B] * others


def test_set_3_is_translated_like_set_2(rig: Rig) -> None:
    set3(rig, 0xFA)
    rig.command(0x60, 0x65)
    rig.chip.inject([A_MAKE, 0xF0, A_MAKE])
    assert rig.drain() == [0x1E, 0x9E]
    rig.keyboard(0xF0)
    assert rig.keyboard(0x00) == [0xFA, 0x3F], "set 3, translated"


@pytest.mark.parametrize(("command", "scans"), [(0xF5, False), (0xF6, True)])
def test_defaults(rig: Rig, command: int, scans: bool) -> None:
    set3(rig, 0xF8, 0xED, 0x07, 0xF3, 0x7F)
    rig.command(0xAD)
    rig.chip.inject([A_MAKE])
    assert rig.keyboard(command) == [0xFA], "what waited is gone"
    record, fresh = rig.chip.save(), Rig().chip.save()
    for field in ("scan_set", "leds", "typematic", "types", "queue"):
        assert record[f"keyboard_{field}"] == fresh[f"keyboard_{field}"]
    assert record["keyboard_scanning"] == scans


def test_f6_does_not_start_a_keyboard_that_is_off(rig: Rig) -> None:
    rig.keyboard(0xF5)
    rig.keyboard(0xF6)
    assert rig.chip.inject([A_MAKE]) == 0
    assert rig.keyboard(0xFF) == [0xFA, 0xAA]
    assert rig.chip.inject([A_MAKE]) == 1


@pytest.mark.parametrize("command", [0xED, 0xF0, 0xF3])
def test_a_parameter_that_is_none_is_refused_and_the_command_over(rig: Rig, command: int) -> None:
    rig.command(0x60, UNTRANSLATED)
    assert rig.keyboard(command) == [0xFA]
    assert rig.keyboard(0x80) == [0xFE]
    assert rig.keyboard(0x00) == [0xFE]


def test_overrun_in_set_3(rig: Rig) -> None:
    set3(rig, 0xFA)
    rig.command(0xAD)
    rig.chip.inject([A_MAKE, 0xF0, A_MAKE] * 8)
    rig.command(0xAE)
    assert rig.drain() == [0x1C, 0xF0, 0x1C] * 5 + [0x1C, 0x00]


def test_a_password_is_taken_up_to_its_end(rig: Rig) -> None:
    rig.command(0xA5, 0x1E, 0xEE, 0x00)
    assert not rig.status() & FULL
    assert rig.keyboard(0xEE) == [0xEE]
    rig.command(0xA4)
    assert rig.drain() == [0xF1], "and none is kept"


def test_resend_repeats_the_last_byte(rig: Rig) -> None:
    rig.chip.inject([A_MAKE])
    assert rig.drain() == [0x1E]
    assert rig.keyboard(0xFE) == [0x1E]


@pytest.mark.parametrize(
    ("code", "set1"),
    [(0x76, 0x01), (0x05, 0x3B), (0x83, 0x41), (0x84, 0x54), (0x29, 0x39), (0x5A, 0x1C), (0x7E, 0x46), (0x58, 0x3A)],
)
def test_translation_of_make_and_break(rig: Rig, code: int, set1: int) -> None:
    rig.chip.inject([code, 0xF0, code])
    assert rig.drain() == [set1, set1 | 0x80]


def test_translated_identification(rig: Rig) -> None:
    assert rig.keyboard(0xF2) == [0xFA, 0xAB, 0x41]


def test_press(rig: Rig) -> None:
    assert rig.chip.press(0xE075)
    assert rig.chip.press(0xE075, pressed=False)
    assert rig.drain() == [0xE0, 0x48, 0xE0, 0xC8]
    with pytest.raises(AccessError):
        rig.chip.press(0xE1F0)


def test_press_takes_whole_keys_only(rig: Rig) -> None:
    rig.command(0xAD)
    pressed = [rig.chip.press(0xE075, pressed=False) for _ in range(7)]
    assert pressed == [True] * 5 + [False] * 2
    rig.command(0xAE)
    assert rig.drain() == [0xE0, 0xC8] * 5


def test_overrun_leaves_one_code(rig: Rig) -> None:
    rig.command(0xAD)
    assert rig.chip.inject([A_MAKE] * 30) == 16
    rig.command(0xAE)
    assert rig.drain() == [0x1E] * 16 + [0xFF]


def test_disabled_keyboard_keeps_its_bytes(rig: Rig) -> None:
    rig.command(0xAD)
    rig.chip.inject([A_MAKE])
    assert not rig.status() & FULL
    assert rig.keyboard(0xEE) == [0xEE, 0x1E], "a byte to the keyboard lets its clock go"


def test_no_keys_while_scanning_is_off(rig: Rig) -> None:
    rig.keyboard(0xF5)
    assert rig.chip.inject([A_MAKE]) == 0
    rig.keyboard(0xF4)
    assert rig.chip.inject([A_MAKE]) == 1
    assert rig.drain() == [0x1E]


@given(
    st.lists(
        st.tuples(st.sampled_from(["command", "data", "keys"]), st.integers(0, 255), st.integers(1, 20)), max_size=60
    )
)
def test_a_guest_that_never_reads_cannot_make_it_grow(steps: list[tuple[str, int, int]]) -> None:
    rig = Rig()
    for step, byte, count in steps:
        if step == "command":
            rig.command(byte)
        elif step == "data":
            rig.chip.write(0, 1, byte)
        else:
            rig.chip.inject([byte] * count)
        record = rig.chip.save()
        assert len(record["keyboard_queue"]) <= 17
        assert len(record["keyboard_replies"]) <= 3
    assert len(rig.drain()) <= 17 + 3 + 1 + 1


@pytest.mark.parametrize(
    "change",
    [
        {"ram": [0x65]},
        {"status": 0x00},
        {"status": 0x10},
        {"status": 0x34},
        {"status": 0x16},
        {"answer_flags": 1},
        {"awaiting": 0xAA},
        {"keyboard_scan_set": 0},
        {"keyboard_types": [0] * 143},
        {"keyboard_expecting": 0xEE},
        {"keyboard_queue": [0] * 18},
    ],
)
def test_impossible_records_are_refused(rig: Rig, change: dict[str, object]) -> None:
    before = rig.chip.save()
    with pytest.raises(StateError):
        rig.chip.load(before | change)
    assert rig.chip.save() == before


def test_state_moves_with_keys_and_lines(rig: Rig) -> None:
    rig.command(0xDD)
    rig.chip.inject([A_MAKE, 0xF0, A_MAKE])
    other = Rig()
    other.chip.load(rig.chip.save())
    assert (other.a20.level, other.irq1.level) == (0, 1)
    assert other.drain() == [0x1E, 0x9E]
