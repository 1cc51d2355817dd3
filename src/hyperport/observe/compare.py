# SPDX-License-Identifier: GPL-2.0-or-later
"""The same workload on every path, in one alternating run: what a port access costs, and that the guest cannot tell.

A round runs the workload once on each path, each time in a new machine; the next round begins with the next path, so
that drift of the host hits all alike. A workload times itself by the TSC, which a guest gets from the host, and tells
the VMM by a mark on a free port where its timed part begins and ends: between the two marks crossings are counted.
Time in which the host ran something else is taken off, by what the scheduler says of this thread.
What the phases of a trap take is measured in runs of their own, whose readings of the clock disturb no other.

Workloads and ways are tables; engines are those of engines/ that offer a way.
"""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, Final, TypeVar

from hyperport.abi import CONVENTIONS
from hyperport.abi.options import DEFAULT_ABI
from hyperport.engines import EngineEntry, resolve
from hyperport.errors import ConfigError, DifferenceError, GuestError, UsageError
from hyperport.guests.registry import locate
from hyperport.host.char import MemoryBackend
from hyperport.io import CALLED
from hyperport.io.trap import TrapPath, clock_cost
from hyperport.machine.machine import Machine
from hyperport.outcome import GuestExit

MARK_PORT: Final = 0x0EF0  # nobody's on this board
LIMIT_S: Final = 300.0  # hung, not slow
CONSOLE_BYTES: Final = 1 << 16  # kept of the console, whose last line counts
MOST_UNITS: Final = 0xFFFF_FFFF  # n= of a workload has 32 bits
BASELINE: Final = "trap"  # the way whose time ratios are of
PHASES: Final = ("fault", "decode", "simulate")  # of a trap; see io/trap.pyx
CALIBRATION_UNITS: Final = 1
EVERY_WAY: Final = "unicorn"  # what auto is here: the engine that has them all
ENGINE_SCALE: Final = {"kvm": 0.05}  # an exit to user space takes microseconds
SCHEDULER: Final = Path("/proc/thread-self/schedstat")  # ns on a CPU, ns waiting for one, time slices

Entry = TypeVar("Entry")
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Workload:
    """A program of guest/workloads. units: how many make a timed part of 0.1 to 0.2 s by trap on Unicorn."""

    name: str
    units: int
    options: str = ""


@dataclass(frozen=True, slots=True)
class Way:
    """How a workload is run: io and abis say what is offered, ops what the guest takes of it.

    usual: run without being named, on every engine or on those of engines. settings: more of MachineConfig. build:
    which build of the workload runs, the end of its file's name.
    """

    name: str
    io: str
    ops: str
    abis: tuple[str, ...] = ("vmi",)
    usual: bool = True
    engines: tuple[str, ...] = ()
    settings: tuple[tuple[str, bool], ...] = ()
    build: str = ""


WORKLOADS: Final[dict[str, Workload]] = {
    workload.name: workload
    for workload in (
        Workload("console", 400_000),
        Workload("cmos", 400_000),
        Workload("pci", 500_000),
        Workload("mix", 60_000),
        Workload("delay", 500_000),
        Workload("ticks", 300, "hz=2000"),
        Workload("strings", 10_000),
    )
}

WAYS: Final[dict[str, Way]] = {
    way.name: way
    for way in (
        Way("trap", "trap", "native"),
        Way("exit", "exit", "native"),
        Way("hypercall", "hypercall", "vmi"),
        Way("exitless", "exitless", "vmi"),
        Way("exitless-inline", "exitless", "vmi", usual=False, build="-inline"),
        Way("exit-coalesced", "exit", "native", engines=("kvm",), settings=(("kvm_coalesce", True),)),
        Way("exit-in-kernel", "exit", "native", engines=("kvm",), settings=(("kvm_irqchip", True),)),
    )
}


def known_ways() -> dict[str, Way]:
    """WAYS, and one for each hypercall convention that is not asked for by itself."""
    calls = (
        Way(f"hypercall-{name}", "hypercall", convention.ops, (name,), usual=False)
        for name, convention in CONVENTIONS.items()
        if name != DEFAULT_ABI[0]
    )
    return WAYS | {way.name: way for way in calls}


USUAL_WAYS: Final = tuple(way for way in WAYS.values() if way.usual and not way.engines)
OWN_WAYS: Final = tuple(way for way in WAYS.values() if way.usual and way.engines)


@dataclass(frozen=True, slots=True)
class Job:
    """One run: a workload by a way on an engine. tsc_khz: 0 lets the guest measure it; append: more words, stronger
    than the workload's own; profile: see TrapPath."""

    workload: Workload
    way: Way
    engine: str
    units: int
    tsc_khz: int = 0
    append: str = ""
    profile: bool = False

    def __str__(self) -> str:
        return f"workload {self.workload.name} by {self.way.name} on {self.engine}"


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one run gave: the guest's own words, and what the VMM counted between the marks."""

    accesses: int
    checksum: str
    ns: int
    tsc_khz: int
    crossings: int
    disturbed: float = 0.0  # share of the time in which this thread waited for a CPU of the host
    traps: int = 0
    phases: tuple[int, ...] = (0, 0, 0)  # TSC ticks of PHASES, where they were measured

    @property
    def ns_per_access(self) -> float:
        """Nanoseconds of the guest's time for each access that it asked for, without those it waited for the host."""
        return self.ns * (1 - self.disturbed) / max(self.accesses, 1)


class Marks:
    """A device at MARK_PORT: the guest writes 1 where its timed part begins, 0 where it ends."""

    name = "marks"
    span = 1
    widths = (1,)

    def __init__(self, machine: Machine, profile: bool) -> None:
        self.machine = machine
        self.trap = machine.path if profile and isinstance(machine.path, TrapPath) else None
        self.begin = self.end = self.counted()
        self.began = self.elapsed = (0, 0)

    def read(self, offset: int, size: int) -> int:  # noqa: ARG002 - a device's signature
        """Nothing to read."""
        return 0xFF

    def write(self, offset: int, size: int, value: int) -> None:  # noqa: ARG002 - a device's signature
        """1: the timed part begins; 0: it is over."""
        if self.trap is not None:
            self.trap.profile = bool(value)
        if value:
            self.begin = self.counted()
            self.began = (time.monotonic_ns(), waited_ns())
        else:
            waited = waited_ns() - self.began[1]
            self.elapsed = (time.monotonic_ns() - self.began[0], waited)
            self.end = self.counted()

    def disturbed(self, ns: int) -> float:
        """The share of the guest's ns in which the thread could have run, but surely had no CPU.

        What it waited between the marks may lie outside the time that the guest took, as far as that has room.
        """
        wall, waited = self.elapsed
        inside = waited - max(wall - ns, 0)
        return min(max(inside, 0) / ns, 1.0) if ns else 0.0

    def counted(self) -> tuple[int, ...]:
        """Crossings; traps, and the ticks of their PHASES, if they are wanted."""
        crossings = sum(row.crossings for row in self.machine.bus.counts() if row.port != MARK_PORT)
        if self.trap is None:
            return (crossings, 0, 0, 0, 0)
        path = self.trap
        return (crossings, path.traps_profiled, path.fault_ticks, path.decode_ticks, path.simulate_ticks)


def waited_ns() -> int:
    """Nanoseconds that this thread has waited for a CPU; 0 on a host that does not say."""
    try:
        return int(SCHEDULER.read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def measure(job: Job) -> Measurement:
    """Run one job. Raises ConfigError if the workload cannot run so, GuestError if it does not come to its end."""
    guest = locate(job.workload.name)
    words = [f"n={job.units}", f"ops={job.way.ops}", f"mark={MARK_PORT}", job.append, job.workload.options]
    if job.tsc_khz:
        words.append(f"tsc_khz={job.tsc_khz}")
    console = MemoryBackend(limit=CONSOLE_BYTES)
    settings: dict[str, Any] = dict(job.way.settings)
    with Machine(
        kernel=guest.kernel.with_stem(guest.kernel.stem + job.way.build),
        append=" ".join(word for word in words if word),
        memory=guest.memory,
        engine=job.engine,
        io=job.way.io,
        testdev=True,
        serial=console,
        abi=job.way.abis,
        **settings,
    ) as machine:
        marks = Marks(machine, job.profile)
        machine.attach(marks, MARK_PORT)
        outcome = machine.run(timeout=LIMIT_S)
        said = console.output().decode("ascii", "replace").rstrip().rpartition("\n")[2]
        if isinstance(outcome, GuestExit) and outcome.value and said.startswith("workload "):
            reason = said.partition(": ")[2]
            if reason.startswith("ops= is one of"):
                reason = f"the guest SDK in it does not know ops={job.way.ops} ({reason})"
            raise ConfigError(f"{job}: {reason}")
        found = re.search(r"accesses (\d+) checksum (\w+) ns (\d+) tsc_khz (\d+)", said)
        if outcome != GuestExit(0) or found is None:
            raise GuestError(f"{job}: {outcome}; its last line: {said[:80]!r}")
        crossings, traps, *phases = (after - before for before, after in zip(marks.begin, marks.end, strict=True))
        return Measurement(
            accesses=int(found[1]),
            checksum=found[2],
            ns=int(found[3]),
            tsc_khz=int(found[4]),
            crossings=crossings,
            disturbed=marks.disturbed(int(found[3])),
            traps=traps,
            phases=tuple(phases),
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run: workloads and, for each engine, its ways. left_out: one line for each way an engine has not."""

    workloads: tuple[Workload, ...]
    trials: tuple[tuple[str, Way], ...]
    left_out: tuple[str, ...] = ()
    repeat: int = 9
    scale: float = 1.0
    append: str = ""

    def units(self, workload: Workload) -> int:
        """n= for this workload: the same on each engine, for the slowest of them."""
        scale = self.scale * min(ENGINE_SCALE.get(engine, 1.0) for engine, _ in self.trials)
        return max(1, min(round(workload.units * scale), MOST_UNITS))

    @property
    def runs(self) -> int:
        """How many machines will be built, without those that calibrate."""
        profiled = sum(way.name == BASELINE for _, way in self.trials)
        return len(self.workloads) * self.repeat * (len(self.trials) + profiled)


def make_plan(
    workloads: Sequence[str] = (),
    ways: Sequence[str] = (),
    engines: Sequence[str] = ("auto",),
    *,
    repeat: int = 9,
    scale: float = 1.0,
    append: str = "",
) -> Plan:
    """A plan from names; none means all workloads, the usual ways.

    Raises UsageError for a name that is not there, and if nothing is left.
    """
    chosen = [_find(WORKLOADS, name, "workload") for name in dict.fromkeys(workloads)] or list(WORKLOADS.values())
    wanted = [_find(known_ways(), name, "path") for name in dict.fromkeys(ways)] or [*USUAL_WAYS]
    if repeat < 1 or not 0 < scale <= MOST_UNITS:
        raise UsageError("repeat must be 1 or more, scale above 0")
    trials, left_out = [], []
    for entry in dict.fromkeys(_engine(name) for name in engines):
        meant = wanted if ways else [*wanted, *(way for way in OWN_WAYS if entry.name in way.engines)]
        trials += [(entry.name, way) for way in meant if _offers(entry, way)]
        left_out += [f"engine {entry.name} does not offer {way.name}" for way in meant if not _offers(entry, way)]
    if not trials:
        raise UsageError(f"nothing to compare: {'; '.join(left_out)}")
    return Plan(tuple(chosen), tuple(trials), tuple(left_out), repeat, scale, append)


def _find(table: Mapping[str, Entry], name: str, what: str) -> Entry:
    if name not in table:
        raise UsageError(f"{what} {name!r} is unknown; choose from {', '.join(table)}")
    return table[name]


def _engine(name: str) -> EngineEntry:
    try:
        return resolve(EVERY_WAY if name == "auto" else name)
    except ConfigError as error:
        raise UsageError(str(error)) from None


def _offers(entry: EngineEntry, way: Way) -> bool:
    if way.engines and entry.name not in way.engines:
        return False
    return way.io in entry.paths and (way.io not in CALLED or all(map(entry.offers, way.abis)))


def compare(
    plan: Plan, run: Callable[[Job], Measurement] = measure, progress: Callable[[int, str], None] | None = None
) -> list[Row]:
    """Run the plan; returns a row for each workload, engine and path (docs/cli.md lists its fields).

    progress is told how many runs are done and what comes next. Raises DifferenceError if two runs of a workload read
    different values or made a different number of accesses.
    """
    done = 0

    def told(job: Job) -> Measurement:
        nonlocal done
        if progress is not None:
            progress(done, str(job))
        done += 1
        return run(job)

    speeds: dict[str, int] = {}
    rows: list[Row] = []
    for workload in plan.workloads:
        for engine, way in plan.trials:
            if engine not in speeds:
                speeds[engine] = run(Job(workload, way, engine, CALIBRATION_UNITS)).tsc_khz
        units = plan.units(workload)
        jobs = [Job(workload, way, engine, units, speeds[engine], plan.append) for engine, way in plan.trials]
        jobs += [replace(job, profile=True) for job in jobs if job.way.name == BASELINE]
        results: dict[Job, list[Measurement]] = {job: [] for job in jobs}
        for number in range(plan.repeat):
            first = number % len(jobs)
            for job in (*jobs[first:], *jobs[:first]):
                results[job].append(told(job))
                _check(job, results[job][-1], jobs[0], results[jobs[0]][0])
        for engine in dict.fromkeys(job.engine for job in jobs):
            rows += _rows({job: runs for job, runs in results.items() if job.engine == engine})
    return rows


def _check(job: Job, got: Measurement, other: Job, expected: Measurement) -> None:
    for what, mine, theirs in (
        ("checksum", got.checksum, expected.checksum),
        ("accesses", got.accesses, expected.accesses),
    ):
        if mine != theirs:
            where = f"{other.way.name} on {other.engine}"
            raise DifferenceError(f"{job} differs from {where}: {what} {mine}, not {theirs}; please report this")


def _rows(results: Mapping[Job, list[Measurement]]) -> list[Row]:
    """The rows of one workload on one engine."""
    profiled = {job.way.name: runs for job, runs in results.items() if job.profile}
    timed = {job: runs for job, runs in results.items() if not job.profile}
    times = {job.way.name: [run.ns_per_access for run in runs] for job, runs in timed.items()}
    rows = []
    for job, runs in timed.items():
        mine = times[job.way.name]
        # A run that was too short for the clock has no ratio.
        ratios = [a / b for a, b in zip(times.get(BASELINE, ()), mine, strict=False) if b]
        rows.append(
            {
                "workload": job.workload.name,
                "engine": job.engine,
                "path": job.way.name,
                "units": job.units,
                "accesses": runs[0].accesses,
                "crossings": runs[0].crossings,
                "ns_per_access": round(median(mine), 3),
                "ns_lowest": round(min(mine), 3),
                "ns_highest": round(max(mine), 3),
                "ratio_to_trap": round(median(times[BASELINE]) / median(mine), 3) if ratios and median(mine) else None,
                "ratio_lowest": round(min(ratios), 3) if ratios else None,
                "ratio_highest": round(max(ratios), 3) if ratios else None,
                "disturbed": round(median(run.disturbed for run in runs), 3),
                "shares": _shares(profiled[job.way.name]) if job.way.name in profiled else None,
                "checksum": runs[0].checksum,
            }
        )
    return rows


def _shares(runs: Sequence[Measurement]) -> dict[str, float]:
    """What parts of a trap's time its phases take, 0 to 1: medians of the profiled runs, less what the clock costs.

    The rest is the guest's own code and its way back from the fault.
    """
    reading = clock_cost()
    shares: dict[str, list[float]] = {phase: [] for phase in PHASES}
    for run in runs:
        whole = run.ns * run.tsc_khz / 1e6 - len(PHASES) * reading * run.traps
        for phase, ticks in zip(PHASES, run.phases, strict=True):
            shares[phase].append(max(ticks - reading * run.traps, 0) / max(whole, 1))
    return {phase: round(median(values), 3) for phase, values in shares.items()}


def host() -> dict[str, Any]:
    """Where the figures are from."""
    try:
        described = Path("/proc/cpuinfo").read_text()
    except OSError:
        described = ""
    model = re.search(r"^model name\s*: (.+)$", described, re.M)
    return {
        "cpu": model[1] if model else platform.processor() or "unknown",
        "cpus": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "load": [round(value, 2) for value in os.getloadavg()],
    }


FIGURES: Final = ("accesses", "crossings", "ns/access", "lowest", "highest", "to trap", *PHASES)
COLUMNS: Final = ("workload", "engine", "path", *FIGURES, "checksum")


def table(rows: Iterable[Row]) -> str:
    """The rows as aligned text with a heading."""
    cells = [COLUMNS, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(COLUMNS))]
    return "".join(
        "  ".join(
            cell.rjust(width) if name in FIGURES else cell.ljust(width)
            for cell, width, name in zip(line, widths, COLUMNS, strict=True)
        ).rstrip()
        + "\n"
        for line in cells
    )


def _cells(row: Row) -> tuple[str, ...]:
    shares = row["shares"] or {}
    return (
        row["workload"],
        row["engine"],
        row["path"],
        f"{row['accesses']:,}",
        f"{row['crossings']:,}",
        *(f"{row[name]:.1f}" for name in ("ns_per_access", "ns_lowest", "ns_highest")),
        "" if row["ratio_to_trap"] is None else f"{row['ratio_to_trap']:.2f}",
        *(f"{shares[phase]:.0%}" if phase in shares else "" for phase in PHASES),
        row["checksum"],
    )
