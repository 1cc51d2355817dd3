# SPDX-License-Identifier: GPL-2.0-or-later
"""A profile as tables for a terminal, and the few lines that are drawn while the guest runs."""

from __future__ import annotations

import os
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, TextIO

from hyperport.observe.figures import counted, duration
from hyperport.observe.trace import WORDS

if TYPE_CHECKING:
    from hyperport.observe.profile import Profile

SHOWN: Final = 20
SHOWN_LIVE: Final = 5
BAR: Final = 20
DRAW_S: Final = 0.5
RIGHT: Final = ("accesses", "share", "crossings", "ns to next")
SPARE: Final = ("", "path", "cpl", "crossings", "line", "register", "device")  # on a narrow terminal, in this order
CUT: Final = ("at", "function", "called most by")
MOST_CUT: Final = 8  # characters that a name keeps
GAP: Final = 2  # before each column

Row = dict[str, Any]


def columns_of(stream: TextIO) -> int | None:
    """How wide the terminal is that a stream is on; None for another file, or where it does not say."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError):
        return None


def text_report(report: Row, limit: int = SHOWN, width: int | None = None) -> str:
    """The report for people: which port costs most, who calls it, and what is known beside. width: of the terminal."""
    total = report["accesses"]
    parts = [_summary(report)]
    ports = [
        {
            "port": address_of(row),
            "device": row["device"],
            "called most by": _callers(report, row),
            **_counts(row, total),
            "": _bar(row["accesses"], total),
        }
        for row in report["ports"]
    ]
    parts.append(_table("by port", ports, limit, width))
    sites = [
        {
            "access": f"{row['direction']:<3} {address_of(row)} {row['size']}",
            "register": row["register"],
            "at": row["at"] or row["function"],
            "line": row["line"],
            "cpl": "" if row["cpl"] is None else str(row["cpl"]),
            "path": row["path"],
            **_counts(row, total),
            "ns to next": _estimate(row),
        }
        for row in report["rows"]
    ]
    if not any(row["line"] for row in sites):
        for row in sites:
            del row["line"]
    parts.append(_table("by call site", sites, limit, width))
    functions = [{"function": row["function"], **_counts(row, total)} for row in report["functions"]]
    parts.append(_table("by function", functions, limit, width))
    return "\n".join(parts)


def _summary(report: Row) -> str:
    states = ", ".join(
        f"{row['state']} {row['share']:.0%} ±{row['error']:.1%}" for row in report["states"] if row["share"]
    )
    made = f"{counted(report['accesses'], 'access')}, {counted(report['crossings'], 'crossing')}"
    lines = [f"{made} in {report['wall_s']:.2f} s ({report['cpu_s']:.2f} s of CPU), {report['engine']}, {report['io']}"]
    if states:
        lines.append(f"the vCPU was at: {states} ({counted(report['sampling']['looks'], 'look')})")
    if report["sampling"]["samples"]:
        parts = [
            f"{row['part']} {duration(row['s'])} ±{duration(row['s_error'])} ({row['share']:.0%})"
            for row in report["times"]
            if row["s"]
        ]
        lines.append(f"from access to access, pauses left out: {', '.join(parts)}")
    if report["sampling"]["folded"]:
        lines.append(f"{report['sampling']['folded']:,} accesses are of too many places, and counted by port alone")
    if report["sampling"]["uncounted"]:
        lines.append(f"{report['sampling']['uncounted']:,} of them are of too many ports, too, and in no table")
    return "\n".join(lines) + "\n"


def told(site: Row) -> str:
    """Which way a site of the profiler's goes, and where."""
    return WORDS[site["space"], site["direction"]].format(site["port"])


def address_of(row: Row) -> str:
    """The port of a row, or the address in device memory: it has more digits."""
    return f"{row['port']:04x}" if row["space"] == "port" else f"{row['port']:08x}"


def _callers(report: Row, port: Row) -> str:
    """The function that accesses a port most, and its share."""
    by: Counter[str] = Counter()
    for row in report["rows"]:
        if (row["port"], row["space"]) == (port["port"], port["space"]):
            by[row["function"]] += row["accesses"]
    name, most = by.most_common(1)[0]
    return f"{name} {most / sum(by.values()):.0%}"


def _counts(row: Row, total: int) -> Row:
    return {
        "accesses": f"{row['accesses']:,}",
        "share": f"{row['accesses'] / max(total, 1):.1%}",
        "crossings": f"{row['crossings']:,}",
    }


def _estimate(row: Row) -> str:
    if row["ns"] is None:
        return ""
    return f"{row['ns']:,.0f}" if row["ns_error"] is None else f"{row['ns']:,.0f} ±{row['ns_error']:,.0f}"


def _bar(part: int, total: int) -> str:
    return "#" * round(BAR * part / max(total, 1))


def _table(title: str, rows: list[Row], limit: int, width: int | None) -> str:
    """Aligned columns under a heading; what is beyond limit is counted in one line.

    width: of lines, if they are to fit. Then columns of SPARE are left out as it takes, and names cut.
    """
    if not rows:
        return f"{title}: nothing\n"
    names = list(rows[0])
    shown = [dict(zip(names, names, strict=True)), *rows[:limit]]
    widths = {name: max(len(row[name]) for row in shown) for name in names}
    if width is not None:
        for name in SPARE:
            if _length(widths) > width and name in widths:
                del widths[name]
        for name in CUT:
            if name in widths:
                excess = max(_length(widths) - width, 0)
                widths[name] -= min(excess, max(widths[name] - MOST_CUT, 0))
        names = list(widths)
    lines = [title]
    for row in shown:
        cells = [
            row[name].rjust(widths[name]) if name in RIGHT else _cut(row[name], widths[name]).ljust(widths[name])
            for name in names
        ]
        lines.append(("  " + "  ".join(cells)).rstrip())
    if len(rows) > limit:
        lines.append(f"  and {len(rows) - limit} more")
    return "\n".join(lines) + "\n"


def _length(widths: dict[str, int]) -> int:
    """Of a table's lines."""
    return sum(GAP + width for width in widths.values())


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


class Live:
    """Some lines on a terminal that are written over while the guest runs."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self._lines = 0
        self._last = (time.monotonic(), 0, 0)
        self._due = 0.0

    def draw(self, profile: Profile, devices: Counter[str]) -> None:
        """Write the lines again, if it is time. devices: accesses so far, by device."""
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + DRAW_S
        accesses, crossings = sum(devices.values()), profile.profiler.crossings()
        passed = max(now - self._last[0], 1e-9)
        rates = ((accesses - self._last[1]) / passed, (crossings - self._last[2]) / passed)
        self._last = (now, accesses, crossings)
        lines = [f"{rates[0]:>14,.0f} accesses/s {rates[1]:>14,.0f} crossings/s {accesses:>16,} accesses"]
        lines += [f"{count:>14,} {name}" for name, count in devices.most_common(SHOWN_LIVE)]
        sites = sorted(profile.profiler.rows(), key=lambda row: -row["accesses"])[:SHOWN_LIVE]
        for site in sites:
            where = "" if site["eip"] is None else f"{site['eip']:08x}"
            if site["eip"] is not None and profile.symbols is not None:
                where = profile.symbols.told(site["eip"]) or where
            lines.append(f"{site['accesses']:>14,} {told(site)} {where}")
        self.clear()
        width = columns_of(self.stream)  # a line that the terminal broke would be two to go back
        self.stream.write("".join(f"\x1b[K{line if width is None else line[: width - 1]}\r\n" for line in lines))
        self.stream.flush()
        self._lines = len(lines)

    def clear(self) -> None:
        """Take the lines away."""
        if self._lines:
            self.stream.write(f"\x1b[{self._lines}A\x1b[J")
            self.stream.flush()
            self._lines = 0
