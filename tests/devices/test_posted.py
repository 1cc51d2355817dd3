# SPDX-License-Identifier: GPL-2.0-or-later
"""What every chip lets be posted and shadowed is what nobody can tell: random histories, over all ports of a machine.

A write that may be posted moves no line, starts no timer, changes nothing that is declared and no shadow register. A
shadow register reads what the device would say, and reading changes nothing. And a history whose writes come as late as
they may ends as it does without delay.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from hyperport import Machine, MemoryBackend
from hyperport.abi.numbers import EXITLESS_BASE, EXITLESS_CELLS, Exitless
from hyperport.host.specs import DiskSpec, NetSpec
from hyperport.time.clock import VirtualClock

SEEDS: Final = 24
STEPS: Final = 1500
POSTABLE, SHADOWED = 0, 3  # first bits of a port's attributes
BUSY: Final = (  # windows that have something to declare, with bytes that set their modes
    *(range(0x3F8, 0x400), range(0x1F0, 0x1F8), range(0x170, 0x178), (0x3F6, 0x376), (0x20, 0x21, 0xA0, 0xA1)),
    *((0x70, 0x71), (0x80, 0xED, 0xE9), range(0x3C0, 0x3E0), range(0xCF8, 0xD00), range(0x378, 0x37B)),
    *(range(0x300, 0x320), range(0x340, 0x348), (0x402, 0x61, 0x60, 0x64)),
)
ENDS_A_RUN: Final = (0x64, 0x92, 0xCF9, 0xF4, 0x604)
VALUES: Final = (0, 1, 2, 3, 4, 8, 0x0C, 0x10, 0x20, 0x21, 0x22, 0x62, 0x80, 0x83, 0x90, 0xA0, 0xE0, 0xEC, 0xF0, 0xFF)

Step = tuple[str, int, int, int]  # what; port, size, value


def steps(seed: int) -> Iterator[Step]:
    """A history: mostly accesses of bytes to ports that declare something, sometimes input and time."""
    draw = random.Random(seed)
    for _ in range(STEPS):
        kind = draw.random()
        if kind < 0.02:
            yield "feed", 0, 0, draw.randrange(256)
        elif kind < 0.04:
            yield "wait", 0, 0, draw.choice((1_000, 60_000, 600_000))
        else:
            port = draw.choice(draw.choice(BUSY)) if kind < 0.97 else draw.randrange(0x1000)
            size = draw.choice((1, 1, 1, 1, 1, 1, 2, 4))
            value = draw.choice(VALUES) if draw.random() < 0.7 else draw.randrange(1 << 32)
            yield ("out" if draw.random() < 0.7 else "in"), port, size, value & (1 << 8 * size) - 1


class Board:
    """A machine with what there is, and what happens on it."""

    def __init__(self, folder: Path) -> None:
        disk = folder / "disk.img"
        if not disk.exists():
            disk.write_bytes(bytes(1 << 20))
        self.serial = MemoryBackend()
        self.machine = Machine(
            memory=4 << 20,
            io="exitless",
            clock=VirtualClock(),
            serial=self.serial,
            parallel=MemoryBackend(),
            disks=(DiskSpec(path=disk, snapshot=True),),
            net=(NetSpec(kind="none"),),
            testdev=True,
        )

        controller: Any = self.machine.board.lines.controller
        self.controller = controller.chip

    def attributes(self, port: int) -> int:
        return int(self.machine.bus.attributes.at(port))

    def do(self, step: Step) -> int | None:
        what, port, size, value = step
        if what == "feed":
            self.serial.feed(bytes([value]))
            self.machine.engine.look_up()
        elif what == "wait":
            clock: Any = self.machine.clock
            clock.advance(value)
        elif what == "in":
            return int(self.machine.bus.inp(port, size))
        elif port not in ENDS_A_RUN:
            self.machine.bus.outp(port, size, value)
            self.machine.flush_output()  # what the host gathers has a timer, which is none of the guest's
        return None

    def register(self, port: int, size: int) -> int:
        """What guest code would read in the tables and the page."""

        def number(at: int, width: int) -> int:
            return int.from_bytes(self.machine.memory.read(EXITLESS_BASE + at, width), "little")

        cell = number(Exitless.DIRECTORY + 2 * (256 + (port >> 8)), 2) + (port & 0xFF)
        which = number(Exitless.SHADOWED + 2 * ((size >> 1) * EXITLESS_CELLS + cell), 2)
        assert which
        return number(Exitless.REGISTERS + 8 * which, 4) & (1 << 8 * size) - 1

    def shadowed(self) -> dict[tuple[int, int], int]:
        return {
            (port, size): self.register(port, size)
            for port, bits in self.machine.bus.attributes.held()
            for size in (1, 2, 4)
            if bits >> SHADOWED & size
        }

    def visible(self) -> tuple[Any, ...]:
        """What a postable write must leave as it is."""
        return (
            self.controller.save(),
            self.machine.clock.next_deadline_ns(),
            self.machine.bus.attributes.held(),
            self.shadowed(),
        )

    def __enter__(self) -> Board:
        return self

    def __exit__(self, *exception: object) -> None:
        self.machine.close()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_nobody_can_tell_when_a_posted_write_comes(seed: int, tmp_path: Path) -> None:
    posted = read = 0
    with Board(tmp_path) as board:
        for number, step in enumerate(steps(seed)):
            what, port, size, _ = step
            attributes = board.attributes(port)
            if what == "out" and attributes >> POSTABLE & size:
                before = board.visible()
                board.do(step)
                assert board.visible() == before, (number, step)
                posted += 1
            elif what == "in" and attributes >> SHADOWED & size:
                before = (board.visible(), board.machine.save_devices())
                assert board.do(step) == board.register(port, size), (number, step)
                assert (board.visible(), board.machine.save_devices()) == before, (number, step)
                read += 1
            else:
                board.do(step)
    assert posted > 50
    assert read > 20


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_history_with_late_writes_ends_as_without(seed: int, tmp_path: Path) -> None:
    waits: list[Step] = []
    with Board(tmp_path) as direct, Board(tmp_path) as late:
        for number, step in enumerate(steps(1000 + seed)):
            what, port, size, _ = step
            attributes = late.attributes(port)
            answer = direct.do(step)
            if what == "out" and attributes >> POSTABLE & size:
                waits.append(step)
            elif what == "in" and attributes >> SHADOWED & size:
                assert late.register(port, size) == answer, (number, step)
            else:
                for waiting in waits:
                    late.do(waiting)
                waits.clear()
                assert late.do(step) == answer, (number, step)
                assert late.visible() == direct.visible(), (number, step)
        for waiting in waits:
            late.do(waiting)
        assert late.machine.save_devices() == direct.machine.save_devices()
        assert late.serial.output() == direct.serial.output()


def test_what_a_device_declares_is_said_in_the_documents(tmp_path: Path) -> None:
    """docs/exitless.md has a row for each device that declares something at power-on or in a history."""
    said = (Path(__file__).parents[2] / "docs" / "exitless.md").read_text()
    with Board(tmp_path) as board:
        declared = {board.machine.bus.owner(port) for port, _ in board.machine.bus.attributes.held()}
        assert {"uart16550", "ide", "rtc146818", "pci-host", "post-code", "vga", "ne2000", "parallel-port"} <= declared
    missing = [name for name in declared if f"`{name}`" not in said]
    assert missing == []
