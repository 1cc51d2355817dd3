# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

from collections.abc import Callable

import pytest

from hyperport.devices.a20_gate import A20Gate
from hyperport.devices.i8042 import I8042
from hyperport.devices.port92 import Port92
from hyperport.lines.irq import IrqLine
from hyperport.machine.machine import Machine

MIB = 1 << 20


class Rig:
    """The gate with both switches, wired as on the board."""

    def __init__(self) -> None:
        self.out = IrqLine()
        self.gate = A20Gate(self.out)
        self.controller = I8042(a20_line=IrqLine(self.gate, 0))
        self.fast = Port92(a20_line=IrqLine(self.gate, 1))
        self.gate.read_back_by(IrqLine(self.controller, 0), IrqLine(self.fast, 0))

    def by_port92(self, level: int) -> None:
        self.fast.write(0, 1, self.fast.read(0) & 0xFD | level << 1)

    def by_command(self, level: int) -> None:
        self.controller.write(1, 1, 0xDF if level else 0xDD)

    def by_output_port(self, level: int) -> None:
        self.controller.write(1, 1, 0xD1)
        self.controller.write(0, 1, 0xDF if level else 0xDD)

    def levels(self) -> tuple[int, int, int]:
        """Of the gate, and as port 92h and the output port read it."""
        self.controller.write(1, 1, 0xD0)
        return self.out.level, self.fast.read(0) >> 1 & 1, self.controller.read(0) >> 1 & 1


WAYS: tuple[Callable[[Rig, int], None], ...] = (Rig.by_port92, Rig.by_command, Rig.by_output_port)


def test_open_at_power_on() -> None:
    assert Rig().levels() == (1, 1, 1)


@pytest.mark.parametrize("opens", WAYS)
@pytest.mark.parametrize("closes", WAYS)
def test_whoever_writes_last_is_obeyed_and_all_read_the_gate(
    opens: Callable[[Rig, int], None], closes: Callable[[Rig, int], None]
) -> None:
    """What a memory manager does with the one switch it knows, whatever was used before it."""
    rig = Rig()
    for _ in range(2):
        closes(rig, 0)
        assert rig.levels() == (0, 0, 0)
        closes(rig, 0)
        assert rig.levels() == (0, 0, 0)
        opens(rig, 1)
        assert rig.levels() == (1, 1, 1)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_the_board_resets_to_an_open_gate_in_any_order(order: tuple[int, ...]) -> None:
    rig = Rig()
    rig.by_port92(0)
    chips = (rig.gate, rig.controller, rig.fast)
    for index in order:
        chips[index].reset()
    assert rig.levels() == (1, 1, 1)


def test_a_record_of_any_of_the_three_moves_the_gate() -> None:
    closed, rig = Rig(), Rig()
    closed.by_command(0)
    rig.fast.load(closed.fast.save())
    assert rig.levels() == (0, 0, 0)
    rig.controller.load(Rig().controller.save())
    assert rig.levels() == (1, 1, 1)
    rig.gate.load(closed.gate.save())
    assert rig.levels() == (0, 0, 0)


def test_on_a_machine_memory_wraps_at_1_mib_only_while_it_is_closed() -> None:
    """The board's wires: what port 92h closes, the keyboard controller opens, and both read it."""
    with Machine(memory=2 * MIB) as machine:
        bus = machine.bus
        assert bus.inp(0x92) == 2
        bus.outp(0x92, 1, 0)
        bus.outp(0x64, 1, 0xD0)
        assert not bus.inp(0x60) & 2
        bus.outp(0x64, 1, 0xDF)
        assert bus.inp(0x92) == 2
