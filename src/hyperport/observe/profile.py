# SPDX-License-Identifier: GPL-2.0-or-later
"""Which port costs most, and who calls it: watches a run, and makes one report of it. docs/profile.md describes it.

Counts and places are exact (profiler.pyx). Sampled are the guest's stacks, the time from an access to the next, and
what the vCPU was at, which a thread looks at every few milliseconds; each estimate has its standard error.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from hyperport.bus.access import Space
from hyperport.bus.port_bus import Path as AccessPath
from hyperport.io.crossing import Crossing
from hyperport.io.trap import clock_cost
from hyperport.observe.kallsyms import running_symbols
from hyperport.observe.profiler import EVERY, PART_NAMES, Profiler
from hyperport.observe.registers import register
from hyperport.observe.report import MEMORY_WORDS, UNCLAIMED

if TYPE_CHECKING:
    from hyperport.machine.machine import Machine
    from hyperport.observe.filter_program import FilterProgram
    from hyperport.observe.symbols import Symbols
    from hyperport.outcome import Outcome

LOOK_S: Final = 0.002  # how often the thread looks at the vCPU
SLICE_S: Final = 0.05  # of the timeline, at first
MOST_SLICES: Final = 400  # then two become one, and slices are twice as long
PAGE: Final = 4096  # a mapping keeps the address within a page
PAUSE_NS: Final = 1_000_000  # a longer gap between two accesses is no cost of an access
NOBODY: Final = "(no guest code)"
SHADOWED: Final = "(reads of the shared page)"
NOT_SAMPLED: Final = {  # of a site that no observer saw
    **dict.fromkeys(("cs", "eip", "cpl")),
    **dict.fromkeys(("exact", "samples", "ticks", "squares"), 0),
    "parts": [(0, 0.0, 0.0)] * len(PART_NAMES),
}
STATES: Final = ("guest", "vmm", "idle")
IDLE: Final = (int(Crossing.HLT), int(Crossing.STOP))

Row = dict[str, Any]


class Timeline:
    """Accesses by device and samples by state, in slices of equal length."""

    def __init__(self) -> None:
        self.interval = SLICE_S
        self.slices: list[Row] = []
        self._last: Counter[str] = Counter()

    def add(self, devices: Counter[str], states: Counter[str]) -> None:
        """One more slice. devices: accesses since the beginning, by device."""
        self.slices.append({"devices": dict(devices - self._last), "states": dict(states)})
        self._last = devices
        if len(self.slices) > MOST_SLICES:
            self.interval *= 2
            pairs = zip(self.slices[::2], [*self.slices[1::2], {"devices": {}, "states": {}}], strict=False)
            self.slices = [
                {key: dict(Counter(one[key]) + Counter(other[key])) for key in ("devices", "states")}
                for one, other in pairs
            ]


class Profile:
    """Watches a machine from now on. program: only these accesses; symbols: of the guest; live: a screen to draw on."""

    def __init__(
        self,
        machine: Machine,
        symbols: Symbols | None = None,
        program: FilterProgram | None = None,
        live: Any = None,
    ) -> None:
        self.machine, self.symbols, self.live = machine, symbols, live
        self._windows = machine.bus.map()
        self._shadowed = {
            (row.port, row.size): row.accesses for row in machine.bus.counts() if row.path is AccessPath.SHADOW
        }
        self._began = (time.monotonic_ns(), Profiler.ticks())
        time.sleep(0.001)
        self.ticks_per_ns = self._rate()
        self.profiler = Profiler(
            filter=program,
            pause=int(PAUSE_NS * self.ticks_per_ns),
            bus=machine.bus,
            path=machine.path,
            reading=clock_cost(),
        )
        self.filter = "" if program is None else program.text
        self.result: Row | None = None
        self.states: Counter[str] = Counter()
        self.timeline = Timeline()
        self._over = threading.Event()
        machine.bus.observe(self.profiler)
        self._thread = threading.Thread(target=self._look, name="hyperport-profile", daemon=True)
        self._thread.start()

    def _rate(self) -> float:
        """Ticks of the TSC for a nanosecond, since the beginning."""
        return (Profiler.ticks() - self._began[1]) / max(time.monotonic_ns() - self._began[0], 1)

    def owner(self, port: int) -> tuple[str, int]:
        """The device that has port, and the first port of its window."""
        for first, last, name in self._windows:
            if first <= port <= last:
                return name, first
        return UNCLAIMED, port

    def _look(self) -> None:
        """The thread: what is the vCPU at? And now and then a slice of the timeline."""
        states: Counter[str] = Counter()
        due = time.monotonic() + self.timeline.interval
        while not self._over.wait(LOOK_S):
            states[self._state()] += 1
            if time.monotonic() >= due:
                self._slice(states)
                states = Counter()
                due = max(due + self.timeline.interval, time.monotonic())
        self._slice(states)

    def _state(self) -> str:
        if self.machine.guard.runner is None:
            return "idle"
        why = Profiler.why(self.machine.engine)
        return "guest" if not why else "idle" if why in IDLE else "vmm"

    def _slice(self, states: Counter[str]) -> None:
        devices = self._devices()
        self.timeline.add(devices, states)
        self.states += states
        if self.live is not None:
            self.live.draw(self, devices)

    def _devices(self) -> Counter[str]:
        """Accesses so far, by device."""
        found: Counter[str] = Counter()
        for port, accesses in self.profiler.by_port().items():
            found[self.owner(port)[0]] += accesses
        for window, accesses in self.profiler.by_window().items():
            found[self.machine.bus.memory_map()[window][2]] += accesses
        return found

    def stop(self) -> None:
        """Look no more; once is enough. Counting goes on as long as the guest does."""
        self._over.set()
        self._thread.join()
        self.profiler.close()
        self.ticks_per_ns = self._rate()
        if self.live is not None:
            self.live.clear()

    def ended(self, outcome: Outcome) -> None:
        """The run is over: its report is kept in `result`."""
        self.result = self.report(outcome)

    def __enter__(self) -> Profile:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    # The report.

    def report(self, outcome: Outcome | None = None) -> Row:
        """All of it as plain values: docs/profile.md lists them."""
        self.stop()
        sites = [*self.profiler.rows(), *self._shadow_reads()]
        named_by = "" if self.symbols is None else "symbols"
        if self.symbols is None and sites:
            self.symbols = running_symbols(self.machine.memory)
            named_by = "" if self.symbols is None else "kallsyms in the guest's RAM"
        rows = sorted((self._row(site) for site in sites), key=lambda row: (-row["accesses"], row["port"]))
        machine = self.machine
        kernel = machine.config.kernel
        return {
            "kernel": None if kernel is None else kernel.name,
            "engine": machine.engine.name,
            "io": machine.config.io,
            "filter": self.filter,
            "symbols": named_by,
            "outcome": None if outcome is None else str(outcome),
            "wall_s": round(machine.wall_s, 6),
            "cpu_s": round(machine.cpu_s, 6),
            "accesses": sum(row["accesses"] for row in rows),
            "crossings": sum(row["crossings"] for row in rows),
            "rows": rows,
            "ports": _summed(rows, ("space", "port", "device")),
            "devices": _summed(rows, ("device",)),
            "functions": _summed(rows, ("function",)),
            "paths": _summed(rows, ("path",)),
            "privilege": _summed(rows, ("cpl",)),
            "stacks": self._stacks(sites),
            "gaps": [
                {"from_ns": round(ticks / self.ticks_per_ns, 1), "count": count}
                for ticks, count in self.profiler.gap_rows()
            ],
            "times": self._times(sites),
            "states": self._states(),
            "timeline": {"interval_s": self.timeline.interval, "slices": self.timeline.slices},
            "sampling": {
                "every": EVERY,
                "samples": self.profiler.samples,
                "pauses": self.profiler.pauses,
                "stacks_lost": self.profiler.stacks_lost,
                "folded": self.profiler.folded,
                "uncounted": self.profiler.uncounted,
                "looks": sum(self.states.values()),
            },
        }

    def _row(self, site: Row) -> Row:
        """A site for the report. ns: from such an access to the next one, with its standard error; None: no sample."""
        device, name = self._named(site)
        address = site["eip"]
        return {
            "space": site["space"].name.lower(),
            "port": site["port"],
            "register": name,
            "device": device,
            "direction": _word(site),
            "size": site["size"],
            "path": site["path"].name.lower(),
            "function": self._made_by(site),
            "address": address,
            "at": "" if address is None or self.symbols is None else self.symbols.told(address),
            "line": "" if address is None or self.symbols is None else self.symbols.line(address),
            "cs": site["cs"],
            "cpl": site["cpl"],
            "exact": bool(site["exact"]),
            "accesses": site["accesses"],
            "crossings": site["crossings"],
            **self._gap(site["samples"], site["ticks"], site["squares"]),
            "parts": {
                name: {"ns": ns, "ns_error": error, "samples": found[0]}
                for name, found in zip(PART_NAMES, site["parts"], strict=True)
                for ns, error in [self._mean(*found)]
            },
        }

    def _named(self, site: Row) -> tuple[str, str]:
        """The device of a site, and what the register is called."""
        if site["space"] is Space.MEMORY:
            return self.machine.bus.memory_map()[site["window"]][2], ""
        device, first = self.owner(site["port"])
        return device, register(site["port"], site["direction"], device, first)

    def _shadow_reads(self) -> Iterator[Row]:
        """Reads that the guest did in the shared page: they cross nothing, so no observer sees them or their place."""
        for count in self.machine.bus.counts():
            more = count.accesses - self._shadowed.get((count.port, count.size), 0)
            if count.path is AccessPath.SHADOW and more and not self.filter:
                yield {
                    "site": 0,
                    "space": count.space,
                    "port": count.port,
                    "direction": count.direction,
                    "size": count.size,
                    "path": count.path,
                    "accesses": more,
                    "crossings": count.crossings,
                    **NOT_SAMPLED,
                }

    def _mean(self, samples: int, ticks: float, squares: float) -> tuple[float | None, float | None]:
        """Mean in ns and its standard error; None where samples do not tell."""
        if not samples:
            return None, None
        mean = ticks / samples
        spread = math.sqrt(max(squares / samples - mean * mean, 0.0) / max(samples - 1, 1))
        return round(mean / self.ticks_per_ns, 1), round(spread / self.ticks_per_ns, 1) if samples > 1 else None

    def _times(self, sites: Iterable[Row]) -> list[Row]:
        """Seconds of the guest's code between accesses, and of their faults, decoding and devices, with their errors.

        Of each site its instructions (a string is one) times the mean of its samples; sites without any are left out.
        """
        found: list[Row] = []
        for index, name in enumerate(PART_NAMES):
            seconds = variance = 0.0
            accesses = 0
            for site in sites:
                ns, error = self._mean(*site["parts"][index])
                if ns is not None:
                    instructions = site["crossings"] or site["accesses"]
                    accesses += site["accesses"]
                    seconds += instructions * ns / 1e9
                    variance += (instructions * (ns if error is None else error) / 1e9) ** 2
            found.append({"part": name, "s": seconds, "s_error": math.sqrt(variance), "accesses": accesses})
        total = sum(row["s"] for row in found)
        return [
            {
                "part": row["part"],
                "s": round(row["s"], 9),
                "s_error": round(row["s_error"], 9),
                "share": round(row["s"] / total, 4) if total else 0.0,
                "accesses": row["accesses"],
            }
            for row in found
        ]

    def _gap(self, samples: int, ticks: float, squares: float) -> Row:
        ns, error = self._mean(samples, ticks, squares)
        return {"samples": samples, "ns": ns, "ns_error": error}

    def _function(self, address: int | None) -> str:
        if address is None:
            return NOBODY
        name = "" if self.symbols is None else self.symbols.name(address)
        return name or f"{address:#010x}"

    def _made_by(self, site: Row) -> str:
        """The function of a site; of a call by a ROM that we laid into the guest, which the guest maps where it likes,
        the call."""
        calls = self.machine.calls
        if site["path"] is AccessPath.SHADOW:
            return SHADOWED
        if site["path"] is AccessPath.HYPERCALL and calls is not None and site["eip"] is not None:
            within = {address % PAGE: name for address, name in calls.doorbell_names.items()}
            if self.symbols is None or not self.symbols.name(site["eip"]):
                return within.get(site["eip"] % PAGE, self._function(site["eip"]))
        return self._function(site["eip"])

    def _stacks(self, sites: Iterable[Row]) -> list[Row]:
        """Accesses by stack: those of a site are exact, and are shared out by its samples.

        frames: names, outermost first, then the access; places: "path:line" of the code of each, "" if not known.
        """
        seen: dict[int, list[tuple[list[int], int]]] = defaultdict(list)
        for site, frames, samples in self.profiler.stack_rows():
            seen[site].append((frames, samples))
        found: Counter[tuple[tuple[str, str], ...]] = Counter()
        for row in sites:
            stacks = seen.get(row["site"]) or [([], 1)]
            total = sum(samples for _, samples in stacks)
            leaf = f"{_word(row)} {row['port']:x} {self._named(row)[1]}".rstrip()
            left = row["accesses"]
            for index, (frames, samples) in enumerate(stacks):
                share = left if index == len(stacks) - 1 else row["accesses"] * samples // total
                left -= share
                callers = [(self._function(address - 1), self._place(address - 1)) for address in reversed(frames)]
                if share:
                    found[(*callers, (self._made_by(row), self._place(row["eip"])), (leaf, ""))] += share
        return [
            {
                "frames": [name for name, _ in frames],
                "places": [place for _, place in frames],
                "accesses": accesses,
            }
            for frames, accesses in found.most_common()
        ]

    def _place(self, address: int | None) -> str:
        """path:line of code."""
        path, line = ("", 0) if address is None or self.symbols is None else self.symbols.place(address)
        return f"{path}:{line}" if line else ""

    def _states(self) -> list[Row]:
        """What the vCPU was at: the share of all looks, and its standard error.

        That is of the share with two looks more on either side (Agresti and Coull 1998): three of three prove little.
        """
        total = sum(self.states.values())
        return [
            {
                "state": state,
                "share": round(share, 4),
                "error": round(math.sqrt(likely * (1 - likely) / (total + 4)), 4),
            }
            for state in STATES
            if total
            for share, likely in [(self.states[state] / total, (self.states[state] + 2) / (total + 4))]
        ]


def _word(site: Row) -> str:
    """Which way a site's accesses go."""
    direction = site["direction"]
    return MEMORY_WORDS[direction] if site["space"] is Space.MEMORY else direction.name.lower()


def _summed(rows: Iterable[Row], keys: tuple[str, ...]) -> list[Row]:
    """Accesses and crossings by these keys, most accesses first."""
    sums: dict[tuple[Any, ...], list[int]] = {}
    for row in rows:
        both = sums.setdefault(tuple(row[key] for key in keys), [0, 0])
        both[0] += row["accesses"]
        both[1] += row["crossings"]
    ordered = sorted(sums.items(), key=lambda item: -item[1][0])
    return [
        dict(zip(keys, names, strict=True)) | {"accesses": accesses, "crossings": crossings}
        for names, (accesses, crossings) in ordered
    ]
