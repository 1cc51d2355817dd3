# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hyperport.devices.a20_gate import A20Gate
from hyperport.devices.i8042 import I8042
from hyperport.devices.port92 import Port92
from hyperport.lines.irq import IrqLine
from hyperport.machine.machine import Machine
from hyperport.outcome import GuestExit

from ..conftest import LIMIT_S, MIB, machine_code


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


CLOSE_92, OPEN_92 = "b0 00 e6 92 ; out 0x92, 0\n", "b0 02 e6 92 ; out 0x92, 2\n"
CLOSE_64, OPEN_64 = "b0 dd e6 64 ; out 0x64, 0xdd\n", "b0 df e6 64 ; out 0x64, 0xdf\n"
WRAP = """\
    31 c0 8e d8          ; ds = 0
    b8 ff ff 8e c0       ; es = 0xffff
    c6 06 00 05 01       ; [0x500] = 1
    26 c6 06 10 05 02    ; [0x100500] = 2
    a0 00 05             ; al = [0x500]
    e6 f4 f4             ; exit with it
"""


@pytest.mark.parametrize(
    ("writes", "wraps"),
    [
        ("", False),
        (CLOSE_92, True),
        (CLOSE_64, True),
        (CLOSE_92 + OPEN_64, False),
        (CLOSE_64 + OPEN_92, False),
        (OPEN_92 + OPEN_64 + CLOSE_92, True),
        (OPEN_92 + OPEN_64 + CLOSE_64, True),
    ],
)
def test_memory_wraps_at_1_mib_while_the_gate_is_closed(tmp_path: Path, writes: str, wraps: bool) -> None:
    """As a DOS memory manager looks whether a switch works."""
    image = tmp_path / "wrap"
    image.write_bytes(machine_code(writes + WRAP))
    with Machine(kernel=image, flat=(0x7C00, "real"), memory=2 * MIB, engine="unicorn") as machine:
        outcome = machine.run(LIMIT_S)
    assert isinstance(outcome, GuestExit)
    assert outcome.value == (2 if wraps else 1)
