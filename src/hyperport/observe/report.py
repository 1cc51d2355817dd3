# SPDX-License-Identifier: GPL-2.0-or-later
"""The port-access table for people: who accessed which port how often, and what it took."""

from __future__ import annotations

from collections.abc import Sequence

from hyperport.bus.access import Direction, PortCount, Space

HEADER = ("port", "size", "dir", "path", "device", "accesses", "crossings")
RIGHT = {"size", "accesses", "crossings"}  # columns that hold numbers
UNCLAIMED = "(unclaimed)"
MEMORY_WORDS = {Direction.IN: "load", Direction.OUT: "store"}


def port_table(counts: Sequence[PortCount], limit: int | None = 40) -> str:
    """The table as lines, most accesses first; rows beyond limit are counted in one line. Ends with the sums."""
    ordered = sorted(counts, key=lambda row: (-row.accesses, row.space, row.port, row.size, row.direction, row.path))
    shown = ordered if limit is None else ordered[:limit]
    rows = [HEADER, *(_cells(row) for row in shown)]
    if len(ordered) > len(shown):
        rest = ordered[len(shown) :]
        rows.append(_sum(f"{len(rest)} more", rest))
    rows.append(_sum("all", ordered))
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    return "".join(_line(row, widths) for row in rows)


def _cells(row: PortCount) -> tuple[str, ...]:
    direction, path = row.direction.name.lower(), row.path.name.lower()
    device = row.device or UNCLAIMED
    port = f"{row.port:04x}"
    if row.space == Space.MEMORY:
        port, direction = f"{row.port:08x}", MEMORY_WORDS[row.direction]
    return (port, str(row.size), direction, path, device, f"{row.accesses:,}", f"{row.crossings:,}")


def _sum(label: str, rows: Sequence[PortCount]) -> tuple[str, ...]:
    accesses, crossings = (sum(row.accesses for row in rows), sum(row.crossings for row in rows))
    return (label, "", "", "", "", f"{accesses:,}", f"{crossings:,}")


def _line(row: tuple[str, ...], widths: Sequence[int]) -> str:
    cells = (
        cell.rjust(width) if name in RIGHT else cell.ljust(width)
        for cell, width, name in zip(row, widths, HEADER, strict=True)
    )
    return "  ".join(cells).rstrip() + "\n"
