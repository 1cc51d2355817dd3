# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests the driver grabber.c against the card of grabber.py: what it loads and stores in the card, and when."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from hyperport import Device, Direction
from hyperport.bus.access import Space
from pytest_hyperport import MachineFactory

HERE = Path(__file__).parent
SOURCE = [HERE / "grabber.c", HERE / "program.c"]
CONTROL, STATUS, WINDOW = 0x340, 0x341, 0xD8000
WORDS = 64 * 48 // 4
MARK = WINDOW + 64 + 8  # column 2 of row 1


def card(**options: Any) -> Any:
    spec = importlib.util.spec_from_file_location("grabber", HERE / "grabber.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Grabber(**options)


def checksum(picture: int) -> str:
    total = 0
    for row in range(48):
        for column in range(64):
            total = total * 31 + ((picture + column) * (row + 1) & 0xFF) & 0xFFFFFFFF
    return f"{total:x}"


def check(machine: Any) -> None:
    grabber = machine.attach(card(), CONTROL, memory=WINDOW)
    assert machine.expect(r"picture (\w+)\n")[1] == checksum(1)
    assert machine.expect(r"picture (\w+)\n")[1] == checksum(2)
    machine.expect_exit(0)
    assert machine.written(CONTROL) == [1, 2, 0, 2, 0, 1, 2, 0]
    assert not grabber.window.mapped
    assert machine.stored(MARK) == [0xEEEEEEEE]
    assert machine.loaded(WINDOW + 4 * WORDS) == [int.from_bytes(b"FGRB", "little")] * 2
    once = [WINDOW + 4 * WORDS, *range(WINDOW, WINDOW + 4 * WORDS, 4)]
    loads = machine.accesses(None, Direction.IN, Space.MEMORY)
    assert [access.port for access in loads] == once * 2
    rows = [
        (row["address"], row["direction"], row["device"], row["accesses"])
        for row in machine.stats(machine.outcome)["memory"]
    ]
    assert rows == [(WINDOW, "load", "grabber", 2 * len(once)), (WINDOW, "store", "grabber", 1)]


@pytest.mark.hyperport_paths
def test_pictures_come_through_the_window(hyperport_machine: MachineFactory) -> None:
    check(hyperport_machine(source=SOURCE))


@pytest.mark.hyperport(engine="kvm", io="exit")
def test_on_kvm_too(hyperport_machine: MachineFactory) -> None:
    check(hyperport_machine(source=SOURCE))


def test_the_window_is_off_until_a_picture_is_there(hyperport_machine: MachineFactory) -> None:
    machine = hyperport_machine(source=SOURCE)
    machine.attach(card(looks=1001), CONTROL, memory=WINDOW)
    machine.expect("no picture\n")
    assert len(machine.read(STATUS)) == 1000
    assert 2 not in machine.written(CONTROL)


def test_a_card_without_its_memory_is_given_up(hyperport_machine: MachineFactory) -> None:
    class Ready(Device):
        span = 2

        def read(self, offset: int, size: int) -> int:
            return 1

    machine = hyperport_machine(source=SOURCE)
    machine.attach(Ready(), CONTROL)
    machine.expect("no picture\n")
    machine.expect_exit(2)
