# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests of the driver thermo.c, on a card that works, one that is not there, and one that is stuck."""

from pathlib import Path

import pytest
from thermometer import READY, Thermometer

from pytest_hyperport import MachineFactory

HERE = Path(__file__).parent
SOURCE = [HERE / "thermo.c", HERE / "main.c"]
BASE = 0x320
NO_CARD, STUCK = 1, 2

pytestmark = pytest.mark.hyperport(engine="unicorn", clock="insns")  # time is what the guest executes


@pytest.mark.hyperport_paths
@pytest.mark.parametrize("celsius", [21, 0, -1, -128, 127])
def test_a_temperature_is_read(hyperport_machine: MachineFactory, celsius: int) -> None:
    machine = hyperport_machine(source=SOURCE)
    machine.attach(Thermometer(str(celsius)), BASE)
    machine.expect(f"it is {celsius} degrees\n")
    machine.expect_exit(0)
    assert machine.written(BASE) == [0]
    assert machine.read(BASE)[-1] == READY


def test_no_card(hyperport_machine: MachineFactory) -> None:
    hyperport_machine(source=SOURCE).expect_exit(NO_CARD)


def test_a_card_that_does_not_get_ready(hyperport_machine: MachineFactory) -> None:
    class Stuck(Thermometer):
        def on_timer(self, number: int) -> None:
            pass

    machine = hyperport_machine(source=SOURCE)
    machine.attach(Stuck(), BASE)
    machine.expect_exit(STUCK)
