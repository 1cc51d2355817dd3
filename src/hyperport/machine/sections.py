# SPDX-License-Identifier: GPL-2.0-or-later
"""What sections of a saved machine's record have in common: the forms that they must have, else it is a StateError."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from hyperport.errors import StateError
from hyperport.machine.state_file import Run, pieces

T = TypeVar("T")


def numbered(named: Iterable[tuple[str, T]]) -> dict[str, T]:
    """By name; the second of a name gets a number."""
    found: dict[str, T] = {}
    for name, item in named:
        key, number = name, 1
        while key in found:
            number += 1
            key = f"{name}.{number}"
        found[key] = item
    return found


def fields(record: Any, what: str, wanted: set[str]) -> dict[str, Any]:
    """The record, if it is a dict of these fields. Raises StateError."""
    if not isinstance(record, dict) or set(record) != wanted:
        raise StateError(f"{what}: the saved record must have {', '.join(sorted(wanted))}, and no more")
    return record


def run_list(runs: Any, what: str, end: int) -> list[Run]:
    """Runs that lie one behind the other before end. Raises StateError."""
    found, at = [], 0
    if not isinstance(runs, list | tuple):
        raise StateError(f"{what}: the saved record has no list of runs")
    for run in runs:
        if not isinstance(run, list | tuple) or len(run) != 2 or not all(type(number) is int for number in run):
            raise StateError(f"{what}: a run of the saved record is no pair of numbers")
        first, count = run
        if first < at or count < 1 or first + count > end:
            raise StateError(f"{what}: the runs of the saved record do not lie one behind the other within it")
        found.append((first, count))
        at = first + count
    return found


def same_names(parts: Iterable[str], records: Any, what: str) -> None:
    """Raise StateError unless there is a record for each of these parts, and no other."""
    if not isinstance(records, dict):
        raise StateError(f"{what}: the saved record is a {type(records).__name__} and no dict")
    if wrong := set(parts) ^ set(records):
        raise StateError(
            f"the saved machine has other {what} ({', '.join(sorted(map(str, wrong)))}): load it into its like"
        )


def check_each(parts: dict[str, Any], records: Any, what: str) -> None:
    """Raise StateError unless there is a record for each of these parts, and no other, that it can take."""
    same_names(parts, records, what)
    for name, part in parts.items():
        part.check(records[name])


def placed(runs: list[Run], unit: int, chunks: list[bytes]) -> list[tuple[int, bytes]]:
    """A stream's contents with the places where they belong, in bytes."""
    found = []
    for piece, chunk in zip(pieces(runs, unit), chunks, strict=True):
        at = 0
        for first, count in piece:
            found.append((first * unit, chunk[at : at + count * unit]))
            at += count * unit
    return found
