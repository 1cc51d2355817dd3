# SPDX-License-Identifier: GPL-2.0-or-later
"""What an access costs here, on each path and engine, and at the peers, in one run; it writes the tables of a document.

    python bench/peers.py [--rounds 9] [--phase-ms 60] [--v86 FOLDER] [--write] [--only "NAME;..."] [--no-growth]

One guest program (bench/guest/accesses.c) runs everywhere: it makes N accesses of each kind between two lines on its
serial port, and the host takes the time between these, so the clock is the same for all. Plain Unicorn has no devices:
it runs loops of the same instructions with hooks that do nothing. N is chosen for each contestant and kind, so that a
phase lasts long enough. Each round runs every contestant once, beginning with another one; a figure is the median of
the rounds with its interval, of 95 % from six rounds on. Where the host lacks one, or one lacks a device, that is said.

--write: tables into docs/performance.md, plots into docs/pictures. v86: `npm install v86`, --v86 node_modules/v86.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

import growth
import plots
from contestants import Bench, Contestant, Units
from hyperport.observe.figures import confidence, interval

ROOT: Final = Path(__file__).parents[1]
DOCUMENT: Final = ROOT / "docs" / "performance.md"
PICTURES: Final = ROOT / "docs" / "pictures"
BEGIN, END = "<!-- peers: begin -->\n", "<!-- peers: end -->\n"
KINDS: Final = {  # kind -> what is told of it
    "post": "OUT 80h",
    "lsr": "IN LSR of a UART",
    "thr": "OUT THR of a UART",
    "cmos": "CMOS: OUT, IN",
    "pci": "PCI: OUT, IN of 32 bits",
    "pit": "PIT: latch, IN, IN",
    "ata": "IN 1F7h",
    "rep": "REP OUTSB of 256",
    "sector": "an IDE sector",
    "identify": "IDENTIFY",
    "card": "256 bytes of an NE2000",
    "pyin": "IN, device in Python",
    "pyout": "OUT, device in Python",
}
BLOCKS: Final = ("rep", "sector", "identify", "card")
BASE: Final = "exit"  # what the peers are compared with
FIRST_UNITS, FIRST_BLOCKS = 1000, 40
MOST_UNITS: Final = 50_000_000
TRIES: Final = 5  # to find how many units make a phase
LONG_ENOUGH: Final = 0.6  # of the time that is wanted
WHY: Final = {  # where a peer is ahead: (contestant, kind), * for any -> why
    ("v86", "*"): "v86 has port accesses in its own JavaScript heap, and compiles the loop around them to WebAssembly",
    ("Bochs", "*"): "an interpreter is in the VMM all the time: to it an access is no crossing",
    ("qemu KVM", "*"): "the host's processor runs the guest",
    ("Unicorn, C hook", "pit"): "its hook answers a constant; our 8254 reads the host's clock for it",
}


@dataclass(slots=True)
class Results:
    """ns by kind and contestant, one for each round; why others are missing; versions."""

    ns: dict[str, dict[str, list[float]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    missing: dict[tuple[str, str], str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def point(self, kind: str, name: str) -> plots.Point | None:
        """Median and interval; None where it is missing."""
        values = self.ns[kind].get(name)
        return None if not values else plots.Point(median(values), *interval(values))


def calibrated(contestant: Contestant, phase_ns: float) -> dict[str, int]:
    """How many units of each kind make a phase of that length."""
    units = {kind: FIRST_BLOCKS if kind in BLOCKS else FIRST_UNITS for kind in KINDS}
    for _ in range(TRIES):
        measured = contestant.run(units)
        if not measured.ns:
            sys.exit(f"{contestant.name}: nothing was measured: {next(iter(measured.missing.values()), '?')}")
        short = {
            kind: count
            for kind, count in units.items()
            if kind in measured.ns and measured.ns[kind] * count < LONG_ENOUGH * phase_ns and count < MOST_UNITS
        }
        for kind, count in units.items():
            wanted = int(phase_ns / max(measured.ns.get(kind, phase_ns), 0.2))
            units[kind] = max(1, min(wanted, 30 * count, MOST_UNITS))
        if not short:
            break
    return units


def measure(contestants: list[Contestant], rounds: int, phase_ns: float) -> Results:
    """All rounds."""
    results = Results()
    units: dict[str, Units] = {}
    for each in contestants:
        began = time.monotonic()
        units[each.name] = calibrated(each, phase_ns)
        results.versions[each.name] = each.version()
        print(f"{each.name}: calibrated in {time.monotonic() - began:.1f} s", file=sys.stderr)
    for number in range(rounds):
        began = time.monotonic()
        turn = number % len(contestants)
        for each in contestants[turn:] + contestants[:turn]:
            measured = each.run(units[each.name])
            for kind, ns in measured.ns.items():
                results.ns[kind][each.name].append(ns)
            for kind, why in measured.missing.items():
                results.missing[each.name, kind] = why
        print(f"round {number + 1} of {rounds}: {time.monotonic() - began:.1f} s", file=sys.stderr)
    return results


def amount(value: float) -> str:
    """Three digits: 2.05, 20.5, 205, 2,050."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def cell(point: plots.Point | None) -> str:
    return "" if point is None else f"{amount(point.value)} ({amount(point.low)} to {amount(point.high)})"


def table(results: Results, names: list[str]) -> list[str]:
    """Rows of Markdown: ns of each kind for these contestants."""
    out = ["| | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for kind, told in KINDS.items():
        cells = [cell(results.point(kind, name)) for name in names]
        if any(cells):
            out.append(f"| {told} | " + " | ".join(cells) + " |")
    return out


def behind(results: Results, ours: list[str], peers: list[str]) -> list[str]:
    """The rows in which a peer is faster than the best of our paths on Unicorn, named and explained."""
    out = []
    for kind, told in KINDS.items():
        best = min((point.value for name in ours if (point := results.point(kind, name))), default=None)
        if best is None:
            continue
        for name in peers:
            point = results.point(kind, name)
            if point is not None and point.value < best:
                why = WHY.get((name, kind)) or WHY.get((name, "*")) or "not explained yet"
                out.append(f"- {told}: {name} needs {amount(point.value)} ns, hyperport {amount(best)} ns: {why}.")
    return out or ["None."]


def ratios(results: Results, peers: list[str]) -> list[str]:
    """How often longer the peers need than the path `exit`, by the medians of the same run."""
    out = ["| | " + " | ".join(peers) + " |", "|---" * (len(peers) + 1) + "|"]
    for kind, told in KINDS.items():
        base = results.ns[kind].get(BASE)
        if not base:
            continue
        cells = []
        for name in peers:
            theirs = results.ns[kind].get(name)
            if theirs and len(theirs) == len(base):
                cells.append(amount(median(peer / mine for mine, peer in zip(base, theirs, strict=True))))
            else:
                cells.append("")
        if any(cells):
            out.append(f"| {told} | " + " | ".join(cells) + " |")
    return out


def gaps(results: Results, absent: list[str]) -> list[str]:
    """What was not measured, by reason."""
    reasons: dict[tuple[str, str], list[str]] = defaultdict(list)
    for (name, kind), why in results.missing.items():
        reasons[name, why].append(KINDS[kind])
    out = [f"- {name}: {', '.join(kinds)}: {why}." for (name, why), kinds in reasons.items()]
    return out + [f"- {line}." for line in absent] or ["Nothing."]


def machine() -> str:
    """The host, in one line."""
    cpu = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.M)
    load = os.getloadavg()[0]
    named = f"{os.cpu_count()} CPUs of {cpu[1] if cpu else platform.machine()}"
    return f"{named}, Linux {platform.release()}, Python {platform.python_version()}, load {load:.2f} at the end"


def chapter(results: Results, absent: list[str], grown: list[plots.Panel], rounds: int) -> list[str]:
    """What stands between the marks of the document."""
    names = list(results.versions)
    ours = [name for name in names if results.versions[name].startswith("hyperport")]
    peers = [name for name in names if name not in ours]
    versions = list(dict.fromkeys(results.versions[name] for name in peers))
    sure = f"{100 * confidence(rounds):.0f} %"
    out = [
        f"`bench/peers.py` of {time.strftime('%Y-%m-%d')}: {machine()}. {'; '.join(versions)}.",
        f"Nanoseconds for one unit of wall time, with the loop: median of {rounds} rounds ({sure} interval).",
        "",
        "![The cost of each kind of access at each contestant, on a logarithmic scale](pictures/peers.svg)",
        "",
        "hyperport by its paths, on Unicorn where nothing else is said:",
        "",
        *table(results, ours),
        "",
        "The peers:",
        "",
        *table(results, peers),
        "",
        f"The peer's time over that of the path `{BASE}`, median of the rounds' ratios:",
        "",
        *ratios(results, peers),
        "",
        "Where a peer is ahead of all paths here:",
        "",
        *behind(results, [name for name in ours if "," not in name], peers),
        "",
        "What was not measured:",
        "",
        *gaps(results, absent),
    ]
    if grown:
        out += [
            "",
            "How costs grow:",
            "",
            "![Costs by accesses, devices, machines and processes](pictures/growth.svg)",
            "",
        ]
        out += growth.table(grown)
    return out


def write(text: list[str], results: Results, grown: list[plots.Panel]) -> None:
    """The document and its pictures."""
    document = DOCUMENT.read_text()
    before, _, rest = document.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        sys.exit(f"{DOCUMENT}: no lines {BEGIN.strip()} and {END.strip()}")
    rows = {
        told: {name: point for name in results.versions if (point := results.point(kind, name))}
        for kind, told in KINDS.items()
    }
    rows = {told: row for told, row in rows.items() if row}
    PICTURES.mkdir(exist_ok=True)
    (PICTURES / "peers.svg").write_text(plots.dots("What an access costs", "nanoseconds", rows))
    if grown:
        (PICTURES / "growth.svg").write_text(plots.lines(grown))
    DOCUMENT.write_text(before + BEGIN + "\n".join(text) + "\n" + END + after)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--phase-ms", type=float, default=60.0)
    parser.add_argument("--v86", type=Path, default=Path("node_modules/v86"))
    parser.add_argument("--only", default="", help="names of contestants, with semicolons: their names have commas")
    parser.add_argument("--no-growth", action="store_true")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    wanted = [name.strip() for name in options.only.split(";") if name.strip()]
    with tempfile.TemporaryDirectory() as folder:
        contestants, absent = Bench(Path(folder), options.v86.absolute()).all()
        if wanted:
            contestants = [each for each in contestants if each.name in wanted]
        results = measure(contestants, options.rounds, options.phase_ms * 1e6)
    grown = [] if options.no_growth else growth.panels(max(1, options.rounds // 2))
    text = chapter(results, absent, grown, options.rounds)
    print("\n".join(text))
    if options.write:
        write(text, results, grown)


if __name__ == "__main__":
    main()
