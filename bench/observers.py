# SPDX-License-Identifier: GPL-2.0-or-later
"""What an observer adds to one access, beside the same loop without any in the same round, in ns of CPU time.

    python bench/observers.py [--runs 15] [--count 1000000] [--rows WORD] [--trace 10000000]

A loop of one IN from the compiled port 80h, path exit, on Unicorn. Each round runs every row once, and begins with
another; a figure is the median of the rounds' differences, with its quartiles. --rows: only those whose names have this
word. --paths measures what counting by site adds, for the paths exit, trap and hypercall. --workloads runs the
workloads of `hyperport compare` profiled and plain. --trace N then records N accesses into a file, reads them all
again, and says what that took for each and that none is missing.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import hyperport
from hyperport.bus.port_bus import PortObserver
from hyperport.cpu.state import protected_flat
from hyperport.guests.registry import locate
from hyperport.observe.compare import WORKLOADS
from hyperport.observe.filter import compile_filter
from hyperport.observe.port_log import PortLog
from hyperport.observe.profile import Profile
from hyperport.observe.profiler import Profiler
from hyperport.observe.recorder import Recorder
from hyperport.observe.text_trace import TextTrace
from hyperport.observe.trace_file import TraceFile

CODE, PORT = 0x10_0000, 0x80
BEFORE_LOOP = 5  # mov ebp, count
LOOP = b"\xec\x4d\x75\xfc\xfa\xf4"  # again: in al, dx; dec ebp; jnz again; cli; hlt
SCRATCH = Path(tempfile.mkdtemp(prefix="hyperport-bench-"))

Observe = Callable[[hyperport.Machine], Any]


def opened(name: str) -> int:
    return os.open(SCRATCH / name, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)


def recorder(**more: Any) -> Observe:
    return lambda machine: Recorder(machine.clock, opened("t.hpt"), **more)


ROWS: dict[str, Observe | None] = {
    "none": None,
    "a compiled observer that does nothing": lambda _: PortObserver(),
    "the log of hyperport.testing": lambda _: PortLog(),
    "trace": recorder(),
    "trace, time=1": recorder(every=1),
    "trace, ring": lambda machine: Recorder(machine.clock, ring=1 << 20),
    "trace, filter `port 3f8-3ff` (leaves it out)": recorder(filter=compile_filter("port 3f8-3ff")),
    "trace, filter `write` (leaves it out)": recorder(filter=compile_filter("write")),
    "trace, filter `port 80 cpl==0` (takes it)": recorder(filter=compile_filter("port 80 cpl==0")),
    "profile": lambda _: Profiler(),
    "trace-ports": lambda _: TextTrace(opened("t.txt")),
}


def loop_of(machine: hyperport.Machine) -> bytes:
    """LOOP, or the same by a call of the ROM."""
    if machine.calls is None:
        return LOOP
    stub = next(at for at, name in machine.calls.doorbell_names.items() if name == "vmi-rom:inb")
    call = b"\xe8" + (stub - (CODE + BEFORE_LOOP + 5)).to_bytes(4, "little", signed=True)
    return call + b"\x4d\x75\xf8\xfa\xf4"  # dec ebp; jnz call; cli; hlt


def measure(observe: Observe | None, count: int, io: str = "exit") -> float:
    """ns of CPU for one turn of the loop."""
    with hyperport.Machine(memory=4 << 20, engine="unicorn", io=io) as machine:
        if observe is not None:
            machine.bus.observe(observe(machine))
        took = 0
        for rounds in (1000, count):  # the first translates the code
            machine.memory.write(CODE, b"\xbd" + rounds.to_bytes(4, "little") + loop_of(machine))
            state = protected_flat(eip=CODE)
            state.edx, state.esp = PORT, CODE
            machine.engine.set_state(state)
            began = time.thread_time_ns()
            machine.engine.run()
            took = time.thread_time_ns() - began
    return took / count


def trace(count: int) -> None:
    """Record count accesses, and read them again."""
    made: list[Recorder] = []

    def observe(machine: hyperport.Machine) -> Recorder:
        made.append(Recorder(machine.clock, opened("t.hpt")))
        return made[0]

    took = measure(observe, count)
    made[0].close()
    size = (SCRATCH / "t.hpt").stat().st_size
    began = time.perf_counter()
    with TraceFile(SCRATCH / "t.hpt") as read:
        found = sum(1 for _ in read.accesses())
    again = (time.perf_counter() - began) / max(found, 1) * 1e9
    missing = count + 1000 - found  # 1000: those of the first run
    print(
        f"{count} accesses traced in {took:.1f} ns each, loop and all; {size / found:.2f} bytes each, missing {missing}"
    )
    print(f"read again in {again:.0f} ns each")


def paths(runs: int, count: int) -> None:
    """What counting by site adds on each path, profiled beside plain, in turn."""
    for io in ("exit", "trap", "hypercall"):
        pairs = [(measure(ROWS["profile"], count, io), measure(None, count, io)) for _ in range(runs)]
        low, middle, high = quantiles([mine - plain for mine, plain in pairs], n=4)
        plain = median(plain for _, plain in pairs)
        print(f"{io:<12} counting by site adds {middle:.1f} ns ({low:.1f} to {high:.1f}) to {plain:.1f} ns an access")


def workload(name: str, profiled: bool) -> float:
    """s of CPU of this thread for a workload."""
    guest, units = locate(name), WORKLOADS[name].units
    append = f"n={units} ops=native {WORKLOADS[name].options}"
    with (
        hyperport.Machine(kernel=guest.kernel, append=append, engine="unicorn", testdev=True) as machine,
        Profile(machine) if profiled else nullcontext(),
    ):
        began = time.thread_time()
        machine.run(timeout=120)
        return time.thread_time() - began


def workloads(runs: int) -> None:
    """Each workload by exit, profiled beside plain, in turn."""
    for name in WORKLOADS:
        pairs = [(workload(name, True), workload(name, False)) for _ in range(runs)]
        low, middle, high = quantiles([mine / plain for mine, plain in pairs], n=4)
        print(f"{name:<12} profiled takes {middle:.2f} ({low:.2f} to {high:.2f}) of the plain run's CPU time")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--trace", type=int, default=0)
    parser.add_argument("--rows", default="", metavar="WORD")
    parser.add_argument("--paths", action="store_true")
    parser.add_argument("--workloads", action="store_true")
    options = parser.parse_args()
    names = ["none", *(name for name in ROWS if options.rows in name and name != "none")]
    results: dict[str, list[float]] = {name: [] for name in names}
    for number in range(options.runs):
        first = number % len(names)
        for name in (*names[first:], *names[:first]):
            results[name].append(measure(ROWS[name], options.count))
    print(f"{'none':<48} {median(results['none']):7.1f} ns an access, loop and all")
    for name in names[1:]:
        more = [mine - plain for mine, plain in zip(results[name], results["none"], strict=True)]
        low, _, high = quantiles(more, n=4)
        print(f"{name:<48} {median(more):+7.1f} ns ({low:+.1f} to {high:+.1f})")
    if options.paths:
        paths(options.runs, options.count)
    if options.trace:
        trace(options.trace)
    if options.workloads:
        workloads(options.runs)


if __name__ == "__main__":
    main()
