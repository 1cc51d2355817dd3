# SPDX-License-Identifier: GPL-2.0-or-later
"""What every part with a state does with a record: checks the whole of it, and only then takes it."""

from __future__ import annotations

from typing import Any

import pytest

from hyperport.devices import CHIPS
from hyperport.errors import StateError
from hyperport.lines.attention import Attention
from hyperport.time.clock import VirtualClock


def made(name: str) -> Any:
    return CHIPS[name](Attention(), VirtualClock())


@pytest.mark.parametrize(
    ("chip", "change", "told"),
    [
        ("testdev", {"state": 1 << 32}, "its bits are 0xffffffff"),
        ("testdev", {"state": -1}, "no number of 64 bits"),
        ("testdev", {"state": "1"}, "field state holds a str"),
        ("testdev", {"state": 1.0}, "no number"),
        ("power-off", {"control": 0x2000}, "holds 0x2000, but its bits are 0xdfff"),
        ("uart16550", {"received": [0] * 17}, "a list of at most 16 numbers"),
        ("uart16550", {"received": [256]}, "field received holds 0x100"),
        ("vga", {"crtc": [0] * 24}, "field crtc must hold 25 numbers"),
        ("vga", {"crtc": [0] * 10 + [0xFF] + [0] * 14}, "holds 0xff, but its bits are 0x3f"),
        ("ne2000", {"memory": [0]}, "field memory must be at most 16384 bytes"),
        ("ne2000", {"memory": bytes(16385)}, "at most 16384 bytes"),
        ("ide", {"first_phase": 4}, "hard disk: field phase holds 4, which is not in 0 to 3"),
        ("fpu-error", {"requested": 2}, "field requested holds 0x2"),
    ],
)
def test_a_value_that_does_not_fit_is_told(chip: str, change: dict[str, Any], told: str) -> None:
    part = made(chip)
    before = part.save()
    with pytest.raises(StateError, match=told):
        part.check(before | change)
    with pytest.raises(StateError, match=told):
        part.load(before | change)
    assert part.save() == before


@pytest.mark.parametrize("record", [None, 7, "x", [], [("state", 0)]])
def test_a_record_is_a_dict(record: Any) -> None:
    with pytest.raises(StateError, match=r"testdev: the saved record is .* and no dict"):
        made("testdev").check(record)


def test_fields_are_known_by_their_names() -> None:
    part = made("testdev")
    for record in ({}, {"state": 0}, part.save() | {"more": 0}, part.save() | {7: 0}):
        with pytest.raises(StateError, match="lacks or adds the fields"):
            part.check(record)


def test_check_changes_nothing() -> None:
    part = made("testdev")
    other = made("testdev")
    other.write(4, 4, 99)
    part.check(other.save())
    assert part.save() != other.save()
    part.load(other.save())
    assert part.save() == other.save()
