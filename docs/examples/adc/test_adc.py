# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests the driver adc.c against a model of its card: what it gives, what it does to the card, what it survives."""

from pathlib import Path

import pytest

from hyperport import AccessPath, Device, Direction
from pytest_hyperport import MachineFactory

HERE = Path(__file__).parent
SOURCE = [HERE / "adc.c", HERE / "program.c"]
START = STATUS = 0x310
DATA = 0x312
BUSY, DONE = 0x80, 0x01
CHANNELS = 8


class Converter(Device):
    """The card. A conversion lasts for `looks` reads of the status; the voltages are the test's."""

    span = 4
    widths = (1, 2)

    def __init__(self, voltages: list[int], looks: int = 3) -> None:
        self.voltages, self.looks = voltages, looks

    def reset(self) -> None:
        self.left, self.channel, self.done = 0, 0, False

    def read(self, offset: int, size: int) -> int:
        if (offset, size) == (DATA - START, 2):
            assert self.done, "the driver reads a sample that is not there"
            self.done = False
            return self.voltages[self.channel] | 0xA000  # the upper bits are noise
        self.left = max(0, self.left - 1)
        return BUSY if self.left else DONE if self.done else 0

    def write(self, offset: int, size: int, value: int) -> None:
        assert not self.left, "the driver starts a conversion while one runs"
        self.channel, self.left, self.done = value & 7, self.looks, True


@pytest.mark.hyperport_paths
def test_each_channel_is_sampled(hyperport_machine: MachineFactory) -> None:
    voltages = [0, 4095, 1, 2, 300, 2048, 77, 8]
    machine = hyperport_machine(source=SOURCE)
    machine.attach(Converter(voltages), 0x310)
    for channel, voltage in enumerate(voltages):
        assert machine.expect(r"channel (\d+): (\d+)\n").groups() == (str(channel), str(voltage))
    machine.expect_exit(0)
    assert machine.written(START) == list(range(CHANNELS))
    assert len(machine.accesses(DATA)) == CHANNELS


def test_the_status_is_read_until_the_sample_is_there(hyperport_machine: MachineFactory) -> None:
    machine = hyperport_machine(source=SOURCE)
    machine.attach(Converter([5] * CHANNELS, looks=4), 0x310)
    machine.expect("channel 0: 5\n")
    assert machine.read(STATUS)[:4] == [BUSY, BUSY, BUSY, DONE]


@pytest.mark.hyperport(io="hypercall")
def test_the_driver_calls_where_it_can(hyperport_machine: MachineFactory) -> None:
    machine = hyperport_machine(source=SOURCE)
    machine.attach(Converter([5] * CHANNELS), 0x310)
    machine.expect_exit(0)
    assert {access.path for access in machine.accesses(STATUS)} == {AccessPath.HYPERCALL}


def test_a_card_that_is_not_there_is_given_up(hyperport_machine: MachineFactory) -> None:
    machine = hyperport_machine(source=SOURCE)
    machine.expect("channel 0: no answer")
    machine.expect_exit(CHANNELS)
    assert machine.accesses(DATA, Direction.IN) == []
