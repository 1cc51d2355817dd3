# SPDX-License-Identifier: GPL-2.0-or-later
"""Figures of repeated measurements: a median, and between what it lies, without a guess at how values are spread."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median
from typing import Any

Row = dict[str, Any]


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Two of the values, between which their median lies with 95 %: order statistics by the binomial distribution.

    Of fewer than six values the lowest and the highest, which is less: see confidence().
    """
    ordered = sorted(values)
    count, rank, tail = len(ordered), 0, 0.5 ** len(ordered)
    while rank < (count - 1) // 2 and tail <= 0.025:
        rank += 1
        tail += math.comb(count, rank) * 0.5**count
    rank -= tail > 0.025 and rank > 0
    return ordered[rank], ordered[count - 1 - rank]


def confidence(count: int) -> float:
    """How sure the interval of so many values is: 0.95, or what the range of a few gives."""
    return min(1 - 2 * 0.5**count, 0.95)


def figure(values: Sequence[float], digits: int = 6) -> Row:
    """median, lowest and highest of the values, and low and high of the median's interval."""
    low, high = interval(values)
    return {
        "median": round(median(values), digits),
        "low": round(low, digits),
        "high": round(high, digits),
        "lowest": round(min(values), digits),
        "highest": round(max(values), digits),
    }


def duration(seconds: float) -> str:
    """A time with three digits and its unit."""
    for unit, scale in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if abs(seconds) * scale >= 1:
            return f"{seconds * scale:,.3g} {unit}" if abs(seconds) * scale < 1000 else f"{seconds * scale:,.0f} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def counted(number: int, thing: str) -> str:
    """`1 look`, `1,200 looks`, `2 accesses`."""
    return f"{number:,} {thing}{'' if number == 1 else 'es' if thing.endswith('s') else 's'}"
