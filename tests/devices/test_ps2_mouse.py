# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from hyperport import AccessError, Machine
from hyperport.devices.i8042 import I8042
from hyperport.time.clock import VirtualClock
from tests.devices.qtest import Qtest

COMMANDS = (0xE6, 0xE7, 0xE9, 0xEA, 0xEB, 0xF0, 0xF2, 0xF4, 0xF5, 0xF6, 0xFF)


@pytest.fixture
def machine() -> Iterator[Machine]:
    with Machine(engine="scripted", memory=2 << 20, clock=VirtualClock()) as one:
        yield one


def say(machine: Machine, *values: int) -> list[int]:
    """Send bytes to the mouse; all that it answers."""
    for value in values:
        machine.bus.outp(0x64, 1, 0xD4)
        machine.bus.outp(0x60, 1, value)
    return heard(machine)


def heard(machine: Machine) -> list[int]:
    got = []
    feel(machine)
    while machine.bus.inp(0x64) & 1:
        assert machine.bus.inp(0x64) & 0x20
        got.append(machine.bus.inp(0x60))
    return got


def feel(machine: Machine) -> None:
    """Let the controller look at its inputs, as a run does: here by a command that does nothing."""
    machine.bus.outp(0x64, 1, 0xA8)


def test_it_says_nothing_until_it_is_asked(machine: Machine) -> None:
    assert machine.mouse.move(5, 5)
    assert heard(machine) == []
    assert say(machine, 0xF4) == [0xFA]
    machine.mouse.move(3, 4)
    assert heard(machine) == [0x28, 3, 0xFC], "down is negative on the cable"
    machine.mouse.press("left")
    assert heard(machine) == [0x09, 0, 0]
    machine.mouse.move(-1, -2)
    assert heard(machine) == [0x19, 0xFF, 2]
    machine.mouse.release("left")
    assert heard(machine) == [0x08, 0, 0]
    machine.mouse.click("right")
    assert heard(machine) == [0x0A, 0, 0, 0x08, 0, 0]
    assert say(machine, 0xF5) == [0xFA]


def test_a_long_way_takes_several_packets(machine: Machine) -> None:
    say(machine, 0xF4)
    machine.mouse.move(1000, -700)
    packets = heard(machine)
    moved = [0, 0]
    for flags, right, up in zip(packets[::3], packets[1::3], packets[2::3], strict=True):
        moved[0] += right - (256 if flags & 0x10 else 0)
        moved[1] += up - (256 if flags & 0x20 else 0)
    assert moved == [1000, 700]


def test_the_knock_of_a_wheel(machine: Machine) -> None:
    knock = [word for rate in (200, 100, 80) for word in (0xF3, rate)]
    assert say(machine, 0xF2) == [0xFA, 0]
    say(machine, *knock)
    assert say(machine, 0xF2) == [0xFA, 3]
    say(machine, 0xF4)
    machine.mouse.move(0, 0, 3)
    assert heard(machine) == [8, 0, 0, 3]
    say(machine, *[word for rate in (200, 200, 80) for word in (0xF3, rate)])
    assert say(machine, 0xF2) == [0xFA, 4]
    machine.mouse.press("fourth")
    assert heard(machine) == [8, 0, 0, 0x10]
    assert say(machine, 0xFF) == [0xFA, 0xAA, 0]
    assert say(machine, 0xF2) == [0xFA, 0]


def test_remote_wrap_and_resend(machine: Machine) -> None:
    assert say(machine, 0xF0) == [0xFA]
    say(machine, 0xF4)
    machine.mouse.move(2)
    assert heard(machine) == []
    assert say(machine, 0xEB) == [0xFA, 8, 2, 0]
    assert say(machine, 0xFE) == [0]
    assert say(machine, 0xEE) == [0xFA]
    assert say(machine, 0x12) == [0x12]
    assert say(machine, 0xEC) == [0xFA]
    assert say(machine, 0x12) == [0xFE]


def test_a_port_whose_clock_is_held_waits(machine: Machine) -> None:
    say(machine, 0xF4)
    machine.bus.outp(0x64, 1, 0xA7)
    machine.mouse.move(1)
    machine.bus.outp(0x64, 1, 0xAE)
    assert not machine.bus.inp(0x64) & 1
    machine.bus.outp(0x64, 1, 0xA8)
    assert heard(machine) == [8, 1, 0]


def test_no_such_button(machine: Machine) -> None:
    with pytest.raises(AccessError, match="there is no button 'sixth'"):
        machine.mouse.press("sixth")


def test_too_much_is_refused_whole(machine: Machine) -> None:
    assert not machine.mouse.move(10_000_000)
    assert machine.mouse.move(1)


def test_it_answers_as_qemus_does() -> None:
    """Random commands, one after another is heard; every byte is the same."""
    rng = random.Random(12)
    chip = I8042()
    with Qtest() as qemu:
        for port, value in ((0x64, 0x60), (0x60, 0x00), (0x64, 0xA8), (0x64, 0xD4), (0x60, 0xFF)):
            qemu.outb(port, value)
            chip.write(1 if port == 0x64 else 0, 1, value)
        for step in range(600):
            words = [rng.choice(COMMANDS)]
            if rng.random() < 0.4:
                words = rng.choice(([0xF3, rng.choice((10, 20, 40, 60))], [0xE8, rng.randrange(4)]))
            if rng.random() < 0.1:
                words = [word for rate in (200, rng.choice((100, 200)), 80) for word in (0xF3, rate)]
            theirs, mine = [], []
            for word in words if step else [0xF6]:
                qemu.outb(0x64, 0xD4)
                qemu.outb(0x60, word)
                chip.write(1, 1, 0xD4)
                chip.write(0, 1, word)
                while qemu.inb(0x64) & 1:
                    theirs.append(qemu.inb(0x60))
                while chip.read(1) & 1:
                    mine.append(chip.read(0))
            assert not step or mine == theirs, [hex(word) for word in words]
