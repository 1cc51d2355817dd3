# SPDX-License-Identifier: GPL-2.0-or-later
"""Saved state of chips: small named records, checked on the way back in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hyperport.errors import StateError

Record = dict[str, Any]
Shape = int | tuple[int, int]


def check_record(name: str, record: Mapping[str, Any], fields: Mapping[str, Shape]) -> None:
    """Raise StateError unless record has exactly these fields and every value fits.

    fields: field name to shape. A shape n is an unsigned integer of n bits (1: a flag); (n, k) is a list or bytes
    of at most k unsigned integers of n bits.
    """
    wrong = set(record) ^ set(fields)
    if wrong:
        raise StateError(f"{name}: the saved record lacks or adds the fields {', '.join(sorted(wrong))}")
    for field, shape in fields.items():
        bits, most = (shape, None) if isinstance(shape, int) else shape
        value = record[field]
        values = [value] if most is None else value
        if most is not None and (not isinstance(value, list | tuple | bytes) or len(value) > most):
            raise StateError(f"{name}: field {field} must be a list of at most {most} numbers")
        for number in values:
            if not isinstance(number, int) or not 0 <= number < 1 << bits:
                raise StateError(f"{name}: field {field} holds {number!r}, which is no {bits}-bit number")
