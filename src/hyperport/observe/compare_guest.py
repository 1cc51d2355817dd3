# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest of the user's on every path, in one alternating run: time, CPU and crossings between two marks.

A mark is a moment that the user names: power-on, an access that a filter means, a text on the console, the guest's end.
Nothing is asked of the guest. Each run is a new machine, and each round begins with the next path, as in compare.py,
whose ways these are. What is read is what the guest itself took: wall time without that in which the host ran something
else, CPU time of the vCPU's thread, and the bus's counts.

A guest that makes no calls takes the same time with and without them being offered. What they would save is
projected: the workload `cmos` is run by each way in the same rounds, so that what an instruction and what a call costs
here is known, and each instruction of the guest that crossed is given the difference.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

from hyperport.bus.port_bus import Path as AccessPath
from hyperport.errors import GuestError, UsageError
from hyperport.host.char import MemoryBackend
from hyperport.lines.attention import StopKind
from hyperport.machine.config import MachineConfig
from hyperport.machine.machine import Machine
from hyperport.machine.power import with_image
from hyperport.observe.compare import BASELINE, WORKLOADS, Job, Measurement, Plan, Way, measure, waited_ns
from hyperport.observe.figures import confidence, figure
from hyperport.observe.filter import compile_filter, parse
from hyperport.observe.mark import PortMark
from hyperport.observe.symbols import Symbols
from hyperport.outcome import Outcome

CONSOLE: Final = "console:"
START, END = "start", "end"
CALLED: Final = (AccessPath.HYPERCALL, AccessPath.POSTED, AccessPath.SHADOW)
YARDSTICK: Final = "cmos"  # each access of it is one crossing, and its device does next to nothing
YARDSTICK_SCALE: Final = 0.1  # 40,000 accesses
CALLS: Final = "hypercall"
PROJECTED: Final = "hypercall, projected from {}"
CONSOLE_BYTES: Final = 1 << 16

LIMIT_S: Final = 300.0  # of one run, where no timeout is given

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment of a run. kind: start, end, console or port; text: what the console says, or a filter."""

    kind: str
    text: str = ""

    def __str__(self) -> str:
        if self.kind == "console":
            return f"{CONSOLE}{self.text}"
        return self.text or self.kind


def parse_mark(text: str) -> Mark:
    """`start`, `end`, `console:TEXT`, or a filter as `port 80 write value==0x42`. Raises UsageError."""
    if text in (START, END):
        return Mark(text)
    if text.startswith(CONSOLE):
        wanted = text.removeprefix(CONSOLE)
        if not wanted or "\n" in wanted:
            raise UsageError(f"mark {text!r}: write a text within one line behind {CONSOLE}")
        return Mark("console", wanted)
    parse(text)
    if not text.strip():
        raise UsageError(f"mark {text!r}: write {START}, {END}, {CONSOLE}TEXT, or a filter like port 80 value==0x42")
    return Mark("port", text)


@dataclass(frozen=True, slots=True)
class Span:
    """What one run took between the marks. wall_s: without what the thread waited for a CPU of the host.

    crossed, called: accesses that crossed by instructions, and that came by calls; by_path: accesses.
    """

    wall_s: float
    cpu_s: float
    accesses: int
    crossings: int
    by_path: tuple[tuple[str, int], ...]
    called: int
    outcome: str


class _Console:
    """Looks for a text in what the guest sends, however it is cut into pieces."""

    def __init__(self, text: str, found: Callable[[], None]) -> None:
        self.wanted, self.found = text.encode(), found
        self.armed = False
        self._tail = b""

    def hear(self, piece: bytes) -> None:
        """One piece of output."""
        seen = self._tail + piece
        if self.armed and self.wanted in seen:
            self.armed = False
            self.found()
        self._tail = seen[-len(self.wanted) + 1 :] if len(self.wanted) > 1 else b""


class Watch:
    """Watches one machine from its mark to its mark. Ends the run at the second."""

    def __init__(self, machine: Machine, begin: Mark, end: Mark, symbols: Symbols | None) -> None:
        self.machine = machine
        self._counts: Row = {}
        self._clocks = (0, 0, 0)
        self.began = self.ended = False
        self.taken: Row | None = None
        self._arm_begin = self._waiter(begin, self.begin, symbols)
        self._arm_end = self._waiter(end, self.end, symbols)

    def _waiter(self, mark: Mark, reached: Callable[[], None], symbols: Symbols | None) -> Any:
        """What waits for a mark: has `armed`; None where nothing need be watched."""
        if mark.kind == "console":
            return _Console(mark.text, reached)
        if mark.kind != "port":
            return None
        bus = self.machine.bus
        program = compile_filter(mark.text, bus.map(), symbols.functions if symbols else None)
        waiter = PortMark(program, reached, self.machine.attention, armed=False)
        bus.observe(waiter)
        return waiter

    def hear(self, piece: bytes) -> None:
        """What the guest has sent to its console."""
        for waiter in (self._arm_begin, self._arm_end):
            if isinstance(waiter, _Console):
                waiter.hear(piece)

    def ready(self) -> None:
        """The run begins now."""
        if self._arm_begin is None:
            self.begin()
        else:
            self._arm_begin.armed = True

    def begin(self) -> None:
        """The first mark: on the vCPU's thread."""
        self.began = True
        if self._arm_end is not None:
            self._arm_end.armed = True
        self._counts = self._counted()
        self._clocks = _clocks()

    def end(self) -> None:
        """The second mark."""
        self.over()
        self.machine.request_stop(StopKind.QUIT)

    def over(self) -> None:
        """The second mark was reached, or the run has ended at it."""
        if self.ended:
            return
        self.ended = True
        clocks = _clocks()
        wall, cpu, waited = (after - before for after, before in zip(clocks, self._clocks, strict=True))
        after = self._counted()
        self.taken = {
            "wall_s": max(wall - waited, 0) / 1e9,
            "cpu_s": cpu / 1e9,
            **{key: after[key] - self._counts[key] for key in ("accesses", "crossings", "called")},
            "by_path": {path: count - self._counts["by_path"].get(path, 0) for path, count in after["by_path"].items()},
        }

    def _counted(self) -> Row:
        counts = self.machine.bus.counts()
        by_path: dict[str, int] = {}
        for row in counts:
            name = row.path.name.lower()
            by_path[name] = by_path.get(name, 0) + row.accesses
        return {
            "accesses": sum(row.accesses for row in counts),
            "crossings": sum(row.crossings for row in counts),
            "called": sum(row.accesses for row in counts if row.path in CALLED),
            "by_path": by_path,
        }


def _clocks() -> tuple[int, int, int]:
    """ns: of the wall, of this thread's CPU time, and that it has waited for a CPU."""
    return time.monotonic_ns(), time.thread_time_ns(), waited_ns()


@dataclass(frozen=True, slots=True)
class GuestPlan:
    """What to run: a guest and, for each engine, its ways.

    config: fields of MachineConfig, of which engine, io and abi are the trials'. left_out: as in Plan. timeout: seconds
    of one run.
    """

    name: str
    config: Row
    trials: tuple[tuple[str, Way], ...]
    begin: Mark
    end: Mark
    left_out: tuple[str, ...] = ()
    repeat: int = 5
    timeout: float = LIMIT_S
    symbols: Symbols | None = None

    @property
    def runs(self) -> int:
        """How many runs of the guest there will be."""
        return self.repeat * len(self.trials)


def make_guest_plan(
    name: str,
    config: Row,
    plan: Plan,
    begin: Mark,
    end: Mark,
    *,
    repeat: int = 5,
    timeout: float | None = None,
    symbols: Symbols | None = None,
) -> GuestPlan:
    """A plan for a guest by the ways of plan. Raises UsageError for what cannot be compared."""
    chosen = with_image(MachineConfig(**config))
    config = {field.name: getattr(chosen, field.name) for field in fields(chosen)}
    for disk in chosen.disks:
        if not (disk.read_only or disk.snapshot):
            raise UsageError(f"disk {disk.path}: each run would change it for the next: add ,snapshot or ,ro")
    for floppy in chosen.floppies:
        if floppy.path is not None and floppy.path.is_file() and not floppy.read_only:
            raise UsageError(f"floppy {floppy.path}: each run would change it for the next: add ,ro")
    if begin.kind == END or end.kind == START:
        raise UsageError(f"--from {begin.kind} --to {end.kind}: nothing lies between: --from comes before --to")
    return GuestPlan(name, config, plan.trials, begin, end, plan.left_out, repeat, timeout or LIMIT_S, symbols)


def run_once(plan: GuestPlan, engine: str, way: Way) -> Span:
    """One run. Raises GuestError if it does not come to its marks."""
    config = MachineConfig(**plan.config | {"engine": engine, "io": way.io, "abi": way.abis} | dict(way.settings))
    watch: Watch | None = None

    def hear(piece: bytes) -> None:
        if watch is not None:
            watch.hear(piece)

    console = MemoryBackend(limit=CONSOLE_BYTES, listener=hear)
    with Machine(config, serial=console) as machine:
        watch = Watch(machine, plan.begin, plan.end, plan.symbols)
        watch.ready()
        outcome = machine.run(timeout=plan.timeout)
        if plan.end.kind == END and watch.began:
            watch.over()
        return _span(plan, watch, outcome, f"{plan.name} by {way.name} on {engine}", console.output())


def _span(plan: GuestPlan, watch: Watch, outcome: Outcome, what: str, said: bytes) -> Span:
    if watch.taken is None or (plan.end.kind == END and outcome.kind == "timeout"):
        missing = "its end" if watch.began and plan.end.kind == END else plan.end if watch.began else plan.begin
        last = said.decode("utf-8", "replace").rstrip().rpartition("\n")[2]
        raise GuestError(f"{what}: {outcome}; it did not come to {missing}; its last line: {last[:80]!r}")
    taken = watch.taken
    return Span(
        taken["wall_s"],
        taken["cpu_s"],
        taken["accesses"],
        taken["crossings"],
        tuple(sorted((path, count) for path, count in taken["by_path"].items() if count)),
        taken["called"],
        "at the mark" if plan.end.kind != END else str(outcome),
    )


def compare_guest(
    plan: GuestPlan,
    run: Callable[[GuestPlan, str, Way], Span] = run_once,
    cost: Callable[[Job], Measurement] = measure,
    progress: Callable[[int, str], None] | None = None,
) -> list[Row]:
    """Run the plan; returns a row for each engine and path, and the projected ones (docs/project.md lists fields).

    progress is told how many runs are done and what comes next.
    """
    spans: dict[tuple[str, Way], list[Span]] = {trial: [] for trial in plan.trials}
    costs: dict[tuple[str, Way], list[float]] = {trial: [] for trial in plan.trials}
    speeds: dict[str, int] = {}
    workload = WORKLOADS[YARDSTICK]
    units = round(workload.units * YARDSTICK_SCALE)
    done = 0
    for number in range(plan.repeat):
        first = number % len(plan.trials)
        for engine, way in (*plan.trials[first:], *plan.trials[:first]):
            if progress is not None:
                progress(done, f"{plan.name} by {way.name} on {engine}")
            spans[engine, way].append(run(plan, engine, way))
            if engine not in speeds:
                speeds[engine] = cost(Job(workload, way, engine, 1)).tsc_khz
            costs[engine, way].append(cost(Job(workload, way, engine, units, speeds[engine])).ns_per_access)
            done += 1
    rows = []
    for engine in dict.fromkeys(engine for engine, _ in plan.trials):
        mine = {way.name: taken for (name, way), taken in spans.items() if name == engine}
        theirs = {way.name: taken for (name, way), taken in costs.items() if name == engine}
        rows += [_row(plan, engine, name, taken, mine, theirs[name]) for name, taken in mine.items()]
        if CALLS in mine and not any(span.called for span in mine[CALLS]):
            rows += [
                _projected(plan, engine, name, taken, theirs)
                for name, taken in mine.items()
                if name in (BASELINE, "exit")
            ]
    return rows


def _row(
    plan: GuestPlan, engine: str, name: str, taken: list[Span], others: dict[str, list[Span]], costs: Sequence[float]
) -> Row:
    base = others.get(BASELINE)
    ratios = (
        None if base is None else [one.cpu_s / span.cpu_s for one, span in zip(base, taken, strict=True) if span.cpu_s]
    )
    return {
        "guest": plan.name,
        "engine": engine,
        "path": name,
        "projected": False,
        "runs": len(taken),
        "wall_s": figure([span.wall_s for span in taken]),
        "cpu_s": figure([span.cpu_s for span in taken]),
        "accesses": figure([span.accesses for span in taken], 1),
        "crossings": figure([span.crossings for span in taken], 1),
        "called": figure([span.called for span in taken], 1),
        "by_path": dict(taken[0].by_path),
        "cpu_to_trap": figure(ratios, 4) if ratios else None,
        "yardstick_ns": figure(costs, 2),
        "confidence": round(confidence(len(taken)), 4),
        "outcome": taken[0].outcome,
    }


def _projected(plan: GuestPlan, engine: str, name: str, taken: list[Span], costs: dict[str, list[float]]) -> Row:
    """What calls would make of the runs by a way: round by round, each crossing at a call's cost."""
    saved = [
        span.crossings * (mine - call) / 1e9 for span, mine, call in zip(taken, costs[name], costs[CALLS], strict=True)
    ]
    cpu = [max(span.cpu_s - seconds, 0.0) for span, seconds in zip(taken, saved, strict=True)]
    return {
        "guest": plan.name,
        "engine": engine,
        "path": PROJECTED.format(name),
        "projected": True,
        "runs": len(taken),
        "wall_s": figure([max(span.wall_s - seconds, 0.0) for span, seconds in zip(taken, saved, strict=True)]),
        "cpu_s": figure(cpu),
        "accesses": figure([span.accesses for span in taken], 1),
        "crossings": figure([span.crossings for span in taken], 1),
        "called": figure([span.crossings for span in taken], 1),
        "by_path": {},
        "cpu_to_trap": figure([span.cpu_s / seconds for span, seconds in zip(taken, cpu, strict=True)], 4)
        if name == BASELINE and all(cpu)
        else None,
        "yardstick_ns": figure(costs[CALLS], 2),
        "saved_s": figure(saved),
        "confidence": round(confidence(len(taken)), 4),
        "outcome": "",
    }


COLUMNS: Final = ("accesses", "crossings", "by calls", "CPU to trap")  # behind the times
UNITS: Final = (("s", 1.0), ("ms", 1e3), ("us", 1e6))


def guest_table(rows: Sequence[Row]) -> str:
    """The rows as aligned text of 80 columns: medians, below them their intervals; and what the projection assumes."""
    lines = []
    for engine in dict.fromkeys(row["engine"] for row in rows):
        lines += _engine_table(engine, [row for row in rows if row["engine"] == engine])
    lines.append(f"Medians of {rows[0]['runs']} runs; below, between what they lie with {rows[0]['confidence']:.0%}.")
    outcomes = {row["outcome"]: row["path"] for row in reversed(rows) if not row["projected"]}
    if len(outcomes) > 1:
        lines.append(
            "The runs ended differently: " + "; ".join(f"{path}: {end}" for end, path in outcomes.items()) + "."
        )
    if any(row["projected"] for row in rows):
        lines += [
            "* The guest makes no calls. Projected: each crossing of this path would be a",
            f"call, and would save what the workload {YARDSTICK} saves by it in the same rounds; a",
            "string is one call; user space and firmware, which cannot call, are counted in.",
        ]
    return "\n".join(lines) + "\n"


def _engine_table(engine: str, rows: Sequence[Row]) -> list[str]:
    units = [_unit([row[key]["median"] for row in rows]) for key in ("wall_s", "cpu_s")]
    cells = [(engine, *(f"{what} {unit}" for what, (unit, _) in zip(("time", "CPU"), units, strict=True)), *COLUMNS)]
    for row in rows:
        scales = [scale for _, scale in units]
        shown = [
            *(_shown(row[key], ".4g", scale) for key, scale in zip(("wall_s", "cpu_s"), scales, strict=True)),
            *(_shown(row[key], ",.0f") for key in ("accesses", "crossings", "called")),
            ("", "") if row["cpu_to_trap"] is None else _shown(row["cpu_to_trap"], ".2f"),
        ]
        path = row["path"].removeprefix(PROJECTED.format("")) + "*" * row["projected"]
        cells.append((path, *(middle for middle, _ in shown)))
        if any(between for _, between in shown):
            cells.append(("", *(between for _, between in shown)))
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]


def _unit(seconds: Sequence[float]) -> tuple[str, float]:
    """The largest unit in which all of them are 1 or more, and how many make a second."""
    return next((unit for unit in UNITS if min(seconds) * unit[1] >= 1), UNITS[-1])


def _shown(found: Row, form: str, scale: float = 1.0) -> tuple[str, str]:
    """Median, and low-high; the latter is empty where all are the same."""
    middle, low, high = (f"{found[key] * scale:{form}}" for key in ("median", "low", "high"))
    return middle, "" if low == high == middle else f"{low}-{high}"
