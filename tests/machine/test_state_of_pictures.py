# SPDX-License-Identifier: GPL-2.0-or-later
"""Machines whose memory map the guest has switched, VGA modes and firmware, are saved in the midst and go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hyperport import Machine, Timeout
from hyperport.bus.access import PortAccess
from hyperport.errors import HyperportError
from hyperport.lines.attention import StopKind

from ..conftest import LIMIT_S
from ..guest.board import BIN

MODES = ("mode13", "mode12", "modex", "vbe bits=8", "vbe bits=32")


class Stops:
    """Stops the run after accesses number so and so."""

    def __init__(self, machine: Machine, *points: int) -> None:
        self.machine, self.points, self.seen = machine, points, 0
        machine.bus.observe(self)

    def __call__(self, _: PortAccess) -> None:
        self.seen += 1
        if self.seen in self.points:
            self.machine.request_stop(StopKind.TIMEOUT)


def shown(machine: Machine) -> dict[str, Any]:
    """What the guest can find in memory, and where."""
    regions = machine.memory.map.regions()
    return {
        "ram": [machine.memory.read(low, high - low) for low, high in machine.memory.regions()],
        "layout": machine.memory.map.layout(),
        "own": [region.read(0, region.size) for region in regions if region.own],
        "picture": machine.display.png(),
        "now": machine.clock.now_ns(),
    }


def compare(machine: Machine, file: Path, half: int, end: int | None) -> None:
    """An unbroken run against one that is saved after half of its accesses; end: of both, None for the guest's."""
    points = (half,) if end is None else (half, end)
    with machine:
        Stops(machine, *points)
        assert isinstance(machine.run(timeout=LIMIT_S), Timeout)
        machine.save(file)
        outcome = machine.run(timeout=LIMIT_S)
        whole = shown(machine)
    with Machine.restore(file) as restored:
        Stops(restored, *() if end is None else (end - half,))
        assert restored.run(timeout=LIMIT_S) == outcome
        assert shown(restored) == whole


def drawing(mode: str) -> Machine:
    return Machine(kernel=BIN / "draw.elf", append=mode, memory=4 << 20, engine="unicorn", clock="insns")


@pytest.mark.parametrize("mode", MODES)
def test_a_guest_that_draws(mode: str, tmp_path: Path) -> None:
    with drawing(mode) as machine:
        stops = Stops(machine)
        machine.run(timeout=LIMIT_S)
    assert stops.seen > 20
    for part in (3, 2):
        compare(drawing(mode), tmp_path / "draw.state", stops.seen * (part - 1) // part, None)


def test_a_guest_in_its_firmware(tmp_path: Path) -> None:
    try:
        machine = Machine(bios="seabios", memory=4 << 20, engine="unicorn", clock="insns")
    except HyperportError as error:
        pytest.skip(str(error))
    compare(machine, tmp_path / "bios.state", 3000, 30_000)
