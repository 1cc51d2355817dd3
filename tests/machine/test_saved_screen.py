# SPDX-License-Identifier: GPL-2.0-or-later
"""What is on the screen outlives a save and a restore, in every kind of mode, and so does the way to video memory."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from hyperport import Machine
from tests.devices.test_vga_planes import Card, dispi, layout, switch_on
from tests.devices.vga_modes import MODES

FRAME_BUFFERS = {"frame buffer of 32 bits": 32, "of 8 bits, in bank 3": 8, "of 4 bits, in bank 1": 4}
LATCH_MODE = (0x3CE, 5, 0x41)  # write mode 1


def draw(card: Card, what: str) -> None:
    """Fill memory through what the guest would use, and leave something under way."""
    engine = card.machine.engine
    engine.set_state(replace(engine.state(), tsc=0))  # which a vCPU that executes nothing does not have
    rng = random.Random(what)
    card.mode("12h: 640 x 480, 16 colours" if what in FRAME_BUFFERS else what)
    if what in FRAME_BUFFERS:
        switch_on(card, 640, 400, FRAME_BUFFERS[what])
        card.memory.write(0, rng.randbytes(200_000))
        dispi(card, 5, {32: 0, 8: 3, 4: 1}[FRAME_BUFFERS[what]])
    for _ in range(3000):
        card.store(rng.randrange(0x20000), rng.randrange(256))
    card.load(0x18123)
    card.load(0x00123)
    card.outp(0x3C8, 17)
    card.outp(0x3C9, 33)


@pytest.mark.parametrize("what", [*MODES, *FRAME_BUFFERS])
def test_the_screen_and_its_memory_come_back(what: str, tmp_path: Path) -> None:
    file = tmp_path / "a.state"
    card = Card()
    draw(card, what)
    card.machine.save(file)
    with Machine.restore(file) as machine:
        other = Card(machine)
        assert layout(other) == layout(card)
        assert other.memory.read(0, 1 << 20) == card.memory.read(0, 1 << 20)
        assert other.vga.plane_bytes() == card.vga.plane_bytes()
        assert machine.display.png() == card.machine.display.png()
        for each in (card, other):  # and both go on alike
            each.outp(0x3C9, 34)
            each.outp(0x3C9, 35)
            each.set(*LATCH_MODE)
            each.store(0x200, 0)
            each.store(0x18200, 0)
            each.mode("03h: 80 x 25 text")
            dispi(each, 4, 0)
        assert machine.display.png() == card.machine.display.png()
        assert other.vga.plane_bytes() == card.vga.plane_bytes()
        assert other.vga.save() | {"just_polled": 0} == card.vga.save() | {"just_polled": 0}


@pytest.mark.parametrize("before", ["03h: 80 x 25 text", "13h: 320 x 200, 256 colours", "of 8 bits, in bank 3"])
@pytest.mark.parametrize("after", ["03h: 80 x 25 text", "13h: 320 x 200, 256 colours", "of 8 bits, in bank 3"])
def test_a_machine_that_was_elsewhere_takes_it_back(before: str, after: str, tmp_path: Path) -> None:
    file = tmp_path / "a.state"
    card = Card()
    draw(card, before)
    card.machine.save(file)
    picture, planes, mapped = card.machine.display.png(), card.vga.plane_bytes(), layout(card)
    draw(card, after)
    card.machine.reload(file)
    assert (card.machine.display.png(), card.vga.plane_bytes(), layout(card)) == (picture, planes, mapped)
