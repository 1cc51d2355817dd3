# SPDX-License-Identifier: GPL-2.0-or-later
"""Device memory of a machine's: how it is asked for, and what a user is told who asks for the impossible."""

from __future__ import annotations

import pytest

from hyperport import Device, Machine
from hyperport.errors import ConfigError, HyperportError
from hyperport.machine.plugins import parse_device


class Card(Device):
    """Four kilobytes."""

    memory_span = 4096


class Odd(Device):
    """No whole pages."""

    memory_span = 100


@pytest.mark.parametrize(
    ("device", "where", "says"),
    [
        (Card(), {"memory": 0xD0800}, "multiples of 4 KiB"),
        (Odd(), {"memory": 0xD0000}, "multiples of 4 KiB"),
        (Card(), {"memory": 0xE0000}, "overlaps first at 0xe0000 to 0xe0fff"),
        (Card(), {"base": 0x300}, "memory of 0x1000 bytes: give it an address"),
        (Device(), {"base": 0x300, "memory": 0xD0000}, "no memory: leave the address out"),
        (Device(), {}, "give it ports by base"),
    ],
)
def test_what_is_refused(device: Device, where: dict[str, int], says: str) -> None:
    first = Card()
    setattr(first, "name", "first")  # noqa: B010
    with Machine(engine="unicorn", memory=2 << 20) as machine:
        machine.attach(first, memory=0xE0000)
        with pytest.raises(ConfigError, match=says) as caught:
            machine.attach(device, irq=5, **where)
        assert "\n" not in str(caught.value)
        machine.attach(Card(), 0x300, irq=5, memory=0xD0000)  # line and ports are still free


def test_the_option() -> None:
    spec = parse_device("card.py:Card,memory=0xd0000,irq=5,colour=red")
    assert (spec.base, spec.irq, spec.memory, spec.options) == (None, 5, 0xD0000, {"colour": "red"})
    for wrong in ("memory=0xd0001", "memory=0x100000000", "irq=5"):
        with pytest.raises(HyperportError):
            parse_device(f"card.py:Card,{wrong}")


def test_the_vmi_rom_is_rom() -> None:
    with Machine(engine="unicorn", io="hypercall", memory=2 << 20) as machine:
        assert machine.memory.map.at(0xC8000) == "rom"
