# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run took, as plain values: what Machine.stats() gives and --stats writes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hyperport.bus.access import Direction, PortCount, Space
from hyperport.outcome import Outcome

MEMORY_WORDS = {Direction.IN: "load", Direction.OUT: "store"}


def port_rows(counts: Iterable[PortCount]) -> list[dict[str, Any]]:
    """One row for each port, size, direction and path that was used; device is null for a port nobody owns."""
    return [
        {
            "port": row.port,
            "size": row.size,
            "direction": row.direction.name.lower(),
            "path": row.path.name.lower(),
            "device": row.device,
            "accesses": row.accesses,
            "crossings": row.crossings,
        }
        for row in counts
        if row.space == Space.PORT
    ]


def memory_rows(counts: Iterable[PortCount]) -> list[dict[str, Any]]:
    """One row for each window of device memory, size and direction that was used; address is the window's."""
    return [
        {
            "address": row.port,
            "size": row.size,
            "direction": MEMORY_WORDS[row.direction],
            "device": row.device,
            "accesses": row.accesses,
            "crossings": row.crossings,
        }
        for row in counts
        if row.space == Space.MEMORY
    ]


def run_statistics(
    outcome: Outcome,
    *,
    wall_s: float,
    cpu_s: float,
    engine: str,
    io: str,
    exceptions: Mapping[str, int],
    irqs: Mapping[str, int],
    hlts: int,
    counts: Sequence[PortCount],
    calls: Mapping[str, Mapping[int, int]],
    exitless: Mapping[str, int],
) -> dict[str, Any]:
    """The object that --stats writes. Times in seconds; exceptions, irqs and calls by number, as text.

    exitless: what was posted and read without a crossing; empty on other paths.
    """
    return {
        "outcome": outcome.kind,
        "status": outcome.status,
        "detail": str(outcome),
        "wall_s": round(wall_s, 6),
        "cpu_s": round(cpu_s, 6),
        "engine": engine,
        "io": io,
        "exceptions": exceptions,
        "irqs": irqs,
        "hlts": hlts,
        "calls": {name: {str(number): count for number, count in found.items()} for name, found in calls.items()},
        "exitless": dict(exitless),
        "ports": port_rows(counts),
        "memory": memory_rows(counts),
    }
