# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run took, as one JSON object (--stats)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from hyperport.bus.access import PortCount
from hyperport.errors import ConfigError
from hyperport.outcome import Outcome


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
    counts: Iterable[PortCount],
) -> dict[str, Any]:
    """The object that --stats writes. Times in seconds; exceptions and irqs by vector, as decimal text."""
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
        "ports": port_rows(counts),
    }


def check_destination(path: Path, what: str = "statistics") -> None:
    """Raise ConfigError, before a long run, if path could not be written after it."""
    directory = path.parent
    if path.is_dir() or not directory.is_dir() or not os.access(directory, os.W_OK):
        raise ConfigError(f"{what}: {path} cannot be written; name a file in a directory that can")


def write_statistics(path: Path, statistics: Mapping[str, Any]) -> None:
    """Write the object to path, whole or not at all."""
    write_whole(path, msgspec.json.format(msgspec.json.encode(statistics), indent=2) + b"\n")


def write_whole(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all. A device or pipe is written directly."""
    if path.exists() and not path.is_file():
        path.write_bytes(content)
        return
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
