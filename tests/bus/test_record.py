# SPDX-License-Identifier: GPL-2.0-or-later
"""Saved records are checked field by field."""

from __future__ import annotations

from typing import Any

import pytest

from hyperport.bus.record import check_record
from hyperport.errors import StateError

FIELDS: dict[str, int | tuple[int, int]] = {"imr": 8, "on": 1, "fifo": (8, 4)}
GOOD: dict[str, Any] = {"imr": 0xFF, "on": 1, "fifo": [1, 2]}


def test_a_good_record_passes() -> None:
    check_record("chip", GOOD, FIELDS)
    check_record("chip", {**GOOD, "fifo": b"abcd"}, FIELDS)


@pytest.mark.parametrize(
    "change",
    [{"imr": 256}, {"imr": -1}, {"imr": "1"}, {"on": 2}, {"fifo": [1] * 5}, {"fifo": [256]}, {"fifo": 3}, {"more": 1}],
)
def test_a_bad_record_names_the_field(change: dict[str, Any]) -> None:
    with pytest.raises(StateError, match=rf"chip: .*{next(iter(change))}"):
        check_record("chip", {**GOOD, **change}, FIELDS)


def test_a_missing_field() -> None:
    with pytest.raises(StateError, match="imr"):
        check_record("chip", {"on": 0, "fifo": []}, FIELDS)
