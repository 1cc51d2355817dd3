# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from hyperport import Device, Machine
from hyperport.devices.dma8237 import Dma8237
from hyperport.errors import ConfigError
from hyperport.lines.irq import IrqLine
from tests.devices.qtest import Qtest

FIRST, SECOND = 0x00, 0xC0  # ports
PAGE = {0: 0x87, 1: 0x83, 2: 0x81, 3: 0x82, 5: 0x8B, 6: 0x89, 7: 0x8A}
STATUS, COMMAND, REQUEST, MASK, MODE, FLIP_FLOP, MASTER_CLEAR, CLEAR_MASK, MASKS = 8, 8, 9, 10, 11, 12, 13, 14, 15
VERIFY, WRITE, READ, DOWN, AUTO, SINGLE, BLOCK, CASCADE = 0, 4, 8, 0x20, 0x10, 0x40, 0x80, 0xC0


class Chip(Device):
    """What is on a channel: gives its bytes, or takes as many as it wants, when DACK comes."""

    def reset(self) -> None:
        self.gives = b""
        self.taken = b""
        self.wants = self.ends = 0

    def give(self, data: bytes) -> None:
        self.gives = data
        self.dma.request(True)

    def want(self, count: int) -> bytes:
        self.wants, self.taken = count, b""
        self.dma.request(True)
        return self.taken

    def on_dma(self) -> None:
        if self.gives:
            self.gives = self.gives[self.dma.write(self.gives) :]
        else:
            self.taken += self.dma.read(self.wants - len(self.taken))
        self.ends += self.dma.terminal
        if not self.gives and len(self.taken) == self.wants:
            self.dma.request(False)


def register(channel: int, index: int) -> int:
    """The port of a register of channel's controller."""
    return SECOND + 2 * index if channel > 3 else FIRST + index


def program(bus: object, channel: int, mode: int, address: int, size: int) -> None:
    """As a driver does it: address and size in bytes. bus: outp(port, size, value), or qemu."""
    out = bus.outb if isinstance(bus, Qtest) else lambda port, value: bus.outp(port, 1, value)  # type: ignore[attr-defined]
    place, count = (address >> 1, size // 2 - 1) if channel > 3 else (address, size - 1)
    out(register(channel, MASK), 4 | channel & 3)
    out(register(channel, FLIP_FLOP), 0)
    out(register(channel, MODE), mode | channel & 3)
    for index, value in ((2 * (channel & 3), place), (2 * (channel & 3) + 1, count)):
        out(register(channel, index), value & 0xFF)
        out(register(channel, index), value >> 8 & 0xFF)
    out(PAGE[channel], address >> 16)
    out(register(channel, MASK), channel & 3)


@pytest.fixture
def machine() -> Iterator[Machine]:
    with Machine(engine="scripted", memory=2 << 20) as one:
        yield one


def count_of(machine: Machine, channel: int) -> int:
    machine.bus.outp(register(channel, FLIP_FLOP), 1, 0)
    port = register(channel, 2 * (channel & 3) + 1)
    return machine.bus.inp(port) | machine.bus.inp(port) << 8


@pytest.mark.parametrize("channel", [0, 1, 3, 5, 6, 7])
def test_a_chip_moves_bytes_both_ways(machine: Machine, channel: int) -> None:
    chip = machine.attach(Chip(), 0x2A0, dma=channel)
    data = random.Random(1).randbytes(512)
    chip.give(data)
    assert chip.gives == data, "masked: it waits"
    program(machine.bus, channel, SINGLE | WRITE, 0x12340, 512)
    assert (machine.memory.read(0x12340, 512), chip.gives, chip.ends) == (data, b"", 1)
    assert machine.bus.inp(register(channel, STATUS)) == 1 << (channel & 3)
    assert machine.bus.inp(register(channel, STATUS)) == 0, "reading clears it"
    assert count_of(machine, channel) == 0xFFFF
    assert machine.bus.inp(register(channel, MASKS)) & 15 == (0xF if channel < 4 else 0xE), "masked at the end"
    program(machine.bus, channel, SINGLE | READ, 0x12340, 512)
    assert chip.want(512) == data


def test_demand_stops_and_goes_on(machine: Machine) -> None:
    chip = machine.attach(Chip(), 0x2A0, dma=1)
    program(machine.bus, 1, WRITE, 0x1000, 300)
    chip.give(bytes(range(100)))
    assert (count_of(machine, 1), chip.ends) == (199, 0)
    chip.give(bytes(range(100, 250)))
    chip.give(bytes(100))
    assert (machine.memory.read(0x1000, 302), len(chip.gives), chip.ends) == (bytes([*range(250), *[0] * 52]), 50, 1)
    assert machine.bus.inp(FIRST + STATUS) == 0x22, "it asks for more"


def test_down_wraps_within_its_page(machine: Machine) -> None:
    chip = machine.attach(Chip(), 0x2A0, dma=3)
    program(machine.bus, 3, WRITE | DOWN, 0x30001, 4)
    chip.give(b"abcd")
    assert (machine.memory.read(0x30000, 2), machine.memory.read(0x3FFFE, 2)) == (b"ba", b"dc")
    program(machine.bus, 3, WRITE, 0x3FFFE, 4)
    chip.give(b"wxyz")
    assert (machine.memory.read(0x3FFFE, 2), machine.memory.read(0x30000, 2)) == (b"wx", b"yz")
    assert machine.memory.read(0x40000, 2) == b"\0\0"


def test_words_wrap_after_128_kib(machine: Machine) -> None:
    chip = machine.attach(Chip(), 0x2A0, dma=5)
    program(machine.bus, 5, WRITE, 0x5FFFE, 4)
    machine.bus.outp(PAGE[5], 1, 0x05)  # bit 0 is not an address line
    chip.give(b"wxyz")
    assert (machine.memory.read(0x5FFFE, 2), machine.memory.read(0x40000, 2)) == (b"wx", b"yz")


def test_autoinit_begins_again(machine: Machine) -> None:
    chip = machine.attach(Chip(), 0x2A0, dma=1)
    program(machine.bus, 1, WRITE | AUTO, 0x1000, 8)
    chip.give(b"0123456789")
    assert (machine.memory.read(0x1000, 8), chip.gives, chip.ends) == (b"89234567", b"", 1)
    chip.give(b"xy")
    assert (machine.memory.read(0x1000, 8), count_of(machine, 1)) == (b"89xy4567", 3)


def test_verify_moves_nothing(machine: Machine) -> None:
    chip = machine.attach(Chip(), 0x2A0, dma=1)
    program(machine.bus, 1, VERIFY, 0x1000, 8)
    chip.give(b"01234567")
    assert (machine.memory.read(0x1000, 8), chip.gives, chip.ends) == (bytes(8), b"", 1)


def test_where_there_is_no_ram(machine: Machine) -> None:
    chip = machine.attach(Chip(), 0x2A0, dma=1)
    program(machine.bus, 1, READ, 0x9FFFE, 4)  # the VGA's hole begins at A0000h; the page wraps before it
    assert len(chip.want(4)) == 4
    program(machine.bus, 1, READ, 0xFF0000, 4)
    assert chip.want(4) == b"\xff" * 4
    program(machine.bus, 1, WRITE, 0xFF0000, 4)
    chip.give(b"abcd")
    assert chip.ends == 3


def test_the_first_controller_hangs_on_channel_4(machine: Machine) -> None:
    chip = machine.attach(Chip(), 0x2A0, dma=1)
    machine.bus.outp(SECOND + 2 * MASTER_CLEAR, 1, 0)
    program(machine.bus, 1, WRITE, 0x1000, 4)
    chip.give(b"abcd")
    assert chip.gives
    machine.bus.outp(SECOND + 2 * MODE, 1, CASCADE)
    machine.bus.outp(SECOND + 2 * MASK, 1, 0)
    assert (chip.gives, machine.memory.read(0x1000, 4)) == (b"", b"abcd")


def test_a_disabled_controller_waits(machine: Machine) -> None:
    chip = machine.attach(Chip(), 0x2A0, dma=1)
    machine.bus.outp(FIRST + COMMAND, 1, 4)
    program(machine.bus, 1, WRITE, 0x1000, 4)
    chip.give(b"abcd")
    assert chip.gives
    machine.bus.outp(FIRST + COMMAND, 1, 0)
    assert not chip.gives


def test_a_request_by_software_runs_to_its_end(machine: Machine) -> None:
    program(machine.bus, 1, BLOCK | WRITE, 0x1000, 9000)
    machine.bus.outp(FIRST + REQUEST, 1, 5)
    assert machine.memory.read(0x1000, 9001) == b"\xff" * 9000 + b"\0"
    assert machine.bus.inp(FIRST + STATUS) == 2


def test_who_gets_a_channel(machine: Machine) -> None:
    for channel in (4, 8, -1):
        with pytest.raises(ConfigError, match="there are 0 to 3 for bytes"):
            machine.board.dma.channel(channel, IrqLine())
    machine.board.dma.channel(7, IrqLine())
    with pytest.raises(ConfigError, match="7 is taken"):
        machine.board.dma.channel(7, IrqLine())


def test_nothing_moves_without_a_grant(machine: Machine) -> None:
    chip = machine.attach(Chip(), 0x2A0, dma=1)
    program(machine.bus, 1, WRITE, 0x1000, 4)
    assert (chip.dma.write(b"abcd"), chip.dma.read(4), count_of(machine, 1)) == (0, b"", 3)


def test_port_80h_is_the_post_codes(machine: Machine) -> None:
    machine.bus.outp(0x80, 1, 0x5A)
    machine.bus.outp(0x84, 1, 0x3C)
    assert (machine.bus.inp(0x80), machine.bus.inp(0x84)) == (0x5A, 0x3C)
    assert (machine.bus.owner(0x80), machine.bus.owner(0x81)) == ("post-code", "dma8237")


def test_registers_as_qemu_has_them() -> None:
    """Random programs of addresses, counts and pages that start no transfer; what is readable is the same."""
    chip = Dma8237()
    rng = random.Random(822)
    with Qtest() as qemu:

        def both(channel: int, index: int, value: int) -> None:
            qemu.outb(register(channel, index), value)
            chip.write(0x10 + 2 * index if channel else index, 1, value)

        def same(channel: int, index: int) -> bool:
            return qemu.inb(register(channel, index)) == chip.read(0x10 + 2 * index if channel else index)

        for channel in (0, 4):
            for index in range(8):
                both(channel, FLIP_FLOP, 0)
                both(channel, index, 0)
                both(channel, index, 0)
        for _ in range(2000):
            channel, index, value = rng.choice((0, 4)), rng.randrange(8), rng.randrange(0x10000)
            what = rng.randrange(5)
            if what == 0:
                page = rng.choice((1, 2, 3, 7, 9, 0xA, 0xB))
                qemu.outb(0x80 + page, value & 0xFF)
                chip.write(0x30 + page, 1, value & 0xFF)
                assert qemu.inb(0x80 + page) == chip.read(0x30 + page)
            elif what == 1:
                both(channel, FLIP_FLOP, 0)
                both(channel, index, value & 0xFF)
                both(channel, index, value >> 8)
            elif what == 2:
                both(channel, MODE, value & 0x37)
            else:
                assert same(channel, index), (channel, index)
        assert same(0, STATUS)
