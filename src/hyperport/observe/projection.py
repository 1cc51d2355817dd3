# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run's port accesses would take on another host: exact counts times published costs (hosts.py).

The counts are those of the run: how many instructions of each kind the guest executed, and how long its strings were.
From them follows how often each way out of the guest would be taken. What is uncertain is the cost of one; so a time
has the range of its source, and no more is claimed. Time of the guest's own code is not projected: it is asked for.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from hyperport.errors import UsageError
from hyperport.observe.figures import duration
from hyperport.observe.hosts import Cost, Host, HostWay, Strings
from hyperport.observe.saved_run import SavedRun, Use

PATCH_GAIN: Final = 0.30  # "a performance boost of up to 30%", Z. Amsden, 2007-08-22
CALL: Final = "call"
SHOWN: Final = 12
WIDTH: Final = 110

Row = dict[str, Any]
Range = tuple[float, float, float]  # lowest, middle, highest


def crossings_of(use: Use, way: HostWay) -> int:
    """How often the guest would be left for these accesses."""
    if way.strings is Strings.UNROLLED or (way.strings is Strings.KVM and use.direction == "out"):
        return use.accesses
    if way.strings is Strings.WHOLE:
        return use.transfers
    each = use.accesses * use.size / max(use.transfers, 1)  # bytes, the mean of these strings
    return min(use.transfers * max(math.ceil(each / way.chunk), 1), use.accesses)


@dataclass(frozen=True, slots=True)
class Gain:
    """What calls would save, as a share of the time that port I/O takes by the guest's own instructions.

    total: share of all time, with the guest's own time; None where that is not known. share: how much of all time
    port I/O must take for the patch's 30 %; None where it cannot be reached. rate: accesses in a second of the guest's
    own time at which it is.
    """

    io: Range
    total: Range | None
    share: float | None
    rate: float | None


def project(run: SavedRun, host: Host, guest_s: float | None = None) -> Row:
    """The projection, as plain values: docs/project.md lists them. guest_s: the guest's own time on that host, in s.

    Raises UsageError for a host without figures.
    """
    ways = [way for way in host.ways if way.cost is not None]
    if not ways:
        raise UsageError(f"host {host.name}: {host.assumes[0]}")
    rows = [_row(run.uses, host, way, way.cost) for way in ways if way.cost is not None]
    gain = _gain(run, host, ways, rows, guest_s)
    return {
        "host": host.name,
        "title": host.title,
        "ways": rows,
        "ports": _ports(run, host, ways),
        "gain": None
        if gain is None
        else {
            "of": ways[0].name,
            "io": gain.io,
            "guest_s": guest_s,
            "total": gain.total,
            "share_for_30_percent": gain.share,
            "rate_for_30_percent": gain.rate,
        },
        "assumes": list(host.assumes),
    }


def _row(uses: Sequence[Use], host: Host, way: HostWay, cost: Cost) -> Row:
    number = sum(crossings_of(use, way) for use in uses)
    each = host.ns(cost)
    return {
        "way": way.name,
        "crossings": number,
        "ns": [round(ns, 1) for ns in each],
        "seconds": [number * ns / 1e9 for ns in each],
        "strings": way.told(),
        "source": cost.source,
        "says": cost.says,
    }


def _ports(run: SavedRun, host: Host, ways: Sequence[HostWay]) -> list[Row]:
    """Seconds by port and way, middle figures; the dearest port first."""
    sums: dict[tuple[int, str], Row] = {}
    for use in run.uses:
        row = sums.setdefault(
            (use.port, use.device), {"accesses": 0, "transfers": 0, "seconds": {way.name: 0.0 for way in ways}}
        )
        row["accesses"] += use.accesses
        row["transfers"] += use.transfers
        for way in ways:
            if way.cost is not None:
                row["seconds"][way.name] += crossings_of(use, way) * host.ns(way.cost)[1] / 1e9
    found = [{"port": port, "device": device} | row for (port, device), row in sums.items()]
    return sorted(found, key=lambda row: (-row["seconds"][ways[0].name], row["port"]))


def _gain(
    run: SavedRun, host: Host, ways: Sequence[HostWay], rows: Sequence[Row], guest_s: float | None
) -> Gain | None:
    """What the way `call` saves of the first way's time."""
    costs = {way.name: way.cost for way in ways if way.cost is not None}
    numbers = {row["way"]: row["crossings"] for row in rows}
    if CALL not in costs or not numbers[CALL]:
        return None
    io = _saved(numbers[CALL] / rows[0]["crossings"], host, costs[ways[0].name], costs[CALL])
    spent = rows[0]["seconds"]
    total: Range | None = None
    if guest_s is not None:
        lowest, usual, highest = (saved * s / (guest_s + s) for saved, s in zip(io, spent, strict=True))
        total = (lowest, usual, highest)
    share = PATCH_GAIN / io[1] if io[1] >= PATCH_GAIN else None
    rate = run.accesses / (spent[1] * (1 / share - 1)) if share is not None and share < 1 else None
    return Gain(io, total, share, rate)


def _saved(crossings: float, host: Host, base: Cost, call: Cost) -> Range:
    """The share of base's time that calls save. crossings: those by calls for each one of base.

    The clock is the same for both. Figures of one source are of one machine, so its lowest go together; those of two
    sources may meet in any way.
    """
    alike = base.cycles == call.cycles
    cheap, usual, dear = (base.lowest, base.middle, base.highest) if alike else host.ns(base)
    calls = (call.lowest, call.middle, call.highest) if alike else host.ns(call)
    first, middle, last = calls if base.source == call.source else calls[::-1]
    saved = [1 - crossings * mine / theirs for mine, theirs in ((first, cheap), (middle, usual), (last, dear))]
    return min(saved), saved[1], max(saved)


# For people.


def projection_text(run: SavedRun, found: Row) -> str:
    """The projection as lines for a terminal."""
    lines = [f"{found['host']}: {found['title']}"]
    cells: list[tuple[str, ...]] = [("way", "crossings", "ns each", "all of them")]
    for row in found["ways"]:
        cells.append(
            (
                row["way"],
                f"{row['crossings']:,}",
                _range([f"{ns:,.0f}" for ns in row["ns"]]),
                _range([duration(seconds) for seconds in row["seconds"]]),
            )
        )
    lines += _aligned(cells)
    ways = [row["way"] for row in found["ways"]]
    cells = [("port", "device", "accesses", *ways)]
    for row in found["ports"][:SHOWN]:
        times = (duration(row["seconds"][way]) for way in ways)
        cells.append((f"{row['port']:04x}", row["device"], f"{row['accesses']:,}", *times))
    lines += ["", *_aligned(cells)]
    if len(found["ports"]) > SHOWN:
        lines.append(f"  and {len(found['ports']) - SHOWN} ports more")
    lines += ["", *_gain_lines(found["gain"], run)] if found["gain"] is not None else []
    unrolled = next((row for row in found["ways"] if row["way"] == "unrolled"), None)
    if unrolled is not None and unrolled["crossings"] > found["ways"][0]["crossings"]:
        more = unrolled["seconds"][1] - found["ways"][0]["seconds"][1]
        lines.append(
            f"  Unrolled strings cost {duration(more)} more: {unrolled['crossings']:,} crossings instead of "
            f"{found['ways'][0]['crossings']:,}."
        )
    lines += _wrapped("Assumed: " + "; ".join([found["ways"][0]["strings"], *found["assumes"]]) + ".")
    lines += _wrapped(
        "Sources: " + "; ".join(f"{row['way']}: {row['source']}, {row['says']}" for row in found["ways"]) + "."
    )
    return "\n".join(lines) + "\n"


def _gain_lines(gain: Row, run: SavedRun) -> list[str]:
    """What calls save, and where the patch's 30 % appears."""
    low, middle, high = gain["io"]
    lines = [f"  Calls save {middle:.0%} ({low:.0%} to {high:.0%}) of what port I/O takes by {gain['of']}."]
    if gain["total"] is not None:
        low, middle, high = gain["total"]
        whose = "this run's CPU time" if gain["guest_s"] == run.seconds else "as given"
        lines.append(
            f"  With {duration(gain['guest_s'])} of the guest's own code ({whose}) that is {middle:.1%} ({low:.1%} to "
            f"{high:.1%}) of all time."
        )
    if gain["share_for_30_percent"] is not None:
        at = f", from {gain['rate_for_30_percent']:,.0f} accesses a second on" if gain["rate_for_30_percent"] else ""
        lines.append(f"  30 % appears where port I/O takes {gain['share_for_30_percent']:.0%} of all time{at}.")
    else:
        reach = "; by the most favourable figures it does" if gain["io"][2] >= PATCH_GAIN else ""
        lines.append(f"  30 % of all time cannot appear, even in a guest that does nothing but port I/O{reach}.")
    return lines


def _range(texts: Sequence[str]) -> str:
    """Middle (lowest to highest), or the one figure where all are the same."""
    low, middle, high = texts
    return middle if low == high else f"{middle} ({low} to {high})"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="    ")


def _aligned(cells: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    return [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells
    ]
