# SPDX-License-Identifier: GPL-2.0-or-later
"""How costs grow: with accesses, devices, machines in a process, processes on the host's CPUs. For bench/peers.py.

python bench/growth.py [--rounds 5]
"""

from __future__ import annotations

import argparse
import multiprocessing
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import hyperport
from hyperport.cpu.state import protected_flat
from plots import Panel

CODE, POST, FREE = 0x10_0000, 0x80, 0x4000
MEMORY = 4 << 20
ACCESSES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
DEVICES = (1, 10, 100, 1000)
MACHINES = (1, 4, 16, 64, 256)
AT_ONCE = (1, 2, 4)
SHARE = 20_000_000  # accesses of each of them


class Nothing(hyperport.Device):
    """One port."""

    stateless = True


def loop(count: int) -> bytes:
    """mov ebp, count; again: out 80h, al; dec ebp; jnz again; cli; hlt."""
    return b"\xbd" + count.to_bytes(4, "little") + b"\xe6\x80\x4d\x75\xfb\xfa\xf4"


def machine() -> hyperport.Machine:
    return hyperport.Machine(memory=MEMORY, engine="unicorn")


def access_ns(made: hyperport.Machine, count: int) -> float:
    """ns of an OUT to port 80h, wall time."""
    made.memory.write(CODE, loop(count))
    made.engine.set_state(protected_flat(eip=CODE))
    began = time.perf_counter_ns()
    made.engine.run()
    return (time.perf_counter_ns() - began) / count


def with_accesses() -> dict[int, float]:
    with machine() as made:
        access_ns(made, 100)
        return {count: access_ns(made, count) for count in ACCESSES}


def with_devices() -> dict[int, float]:
    found = {}
    for count in DEVICES:
        with machine() as made:
            for number in range(count):
                made.attach(Nothing(), FREE + number)
            access_ns(made, 100)
            found[count] = access_ns(made, 300_000)
    return found


def resident_kib() -> int:
    """Of this process."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def with_machines() -> tuple[dict[int, float], dict[int, float], dict[int, float]]:
    """By machines that live: ms to make the last of them, MiB of each, ns of an access in the last one."""
    made: list[hyperport.Machine] = []
    making, size, access = {}, {}, {}
    before = resident_kib()
    try:
        for count in range(1, MACHINES[-1] + 1):
            began = time.perf_counter()
            made.append(machine())
            took = time.perf_counter() - began
            access_ns(made[-1], 100)
            if count in MACHINES:
                making[count] = took * 1e3
                size[count] = (resident_kib() - before) / 1024 / count
                access[count] = access_ns(made[-1], 300_000)
    finally:
        for each in made:
            each.close()
    return making, size, access


def work(ready: Callable[[], object], count: int) -> None:
    with machine() as made:
        access_ns(made, 100)
        ready()
        access_ns(made, count)


def _process(barrier: object, count: int) -> None:
    work(barrier.wait, count)  # type: ignore[attr-defined]


def at_once(processes: bool) -> dict[int, float]:
    """Millions of accesses a second, of so many machines together, each in a process or thread of its own."""
    found = {}
    context = multiprocessing.get_context("spawn")
    for number in AT_ONCE:
        barrier = context.Barrier(number + 1) if processes else threading.Barrier(number + 1)
        kind = context.Process if processes else threading.Thread
        workers = [kind(target=_process, args=(barrier, SHARE)) for _ in range(number)]
        for each in workers:
            each.start()
        barrier.wait()
        began = time.perf_counter()
        for each in workers:
            each.join()
        found[number] = number * SHARE / (time.perf_counter() - began) / 1e6
    return found


def panels(rounds: int) -> list[Panel]:
    """Measure so many times; each point is the median."""
    accesses, devices, threads, processes = [], [], [], []
    making, sizes, in_last = [], [], []
    for _ in range(rounds):
        accesses.append(with_accesses())
        devices.append(with_devices())
        made = with_machines()
        making.append(made[0])
        sizes.append(made[1])
        in_last.append(made[2])
        threads.append(at_once(processes=False))
        processes.append(at_once(processes=True))

    def middle(results: list[dict[int, float]]) -> list[tuple[float, float]]:
        return [(float(x), median(result[x] for result in results)) for x in results[0]]

    return [
        Panel("an access, by how many there are", "accesses of a run", "ns", {"OUT 80h": middle(accesses)}),
        Panel("an access, by devices on the bus", "devices", "ns", {"OUT 80h": middle(devices)}),
        Panel(
            "another machine, by those that live",
            "machines in the process",
            "ms, MiB",
            {
                "ms to make it": middle(making),
                "MiB of each": middle(sizes),
            },
        ),
        Panel("an access, by machines that live", "machines in the process", "ns", {"OUT 80h": middle(in_last)}),
        Panel(
            "machines that run at once",
            "machines",
            "million accesses/s",
            {
                "processes": middle(processes),
                "threads": middle(threads),
            },
        ),
    ]


def table(shown: list[Panel]) -> list[str]:
    """The same as lines of Markdown."""
    out = ["| | |", "|---|---|"]
    for panel in shown:
        for name, series in panel.series.items():
            said = "; ".join(f"{x:,.10g}: {y:.3g}" for x, y in series)
            out.append(f"| {panel.title}: {name} ({panel.y}), {panel.x} | {said} |")
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    print("\n".join(table(panels(parser.parse_args().rounds))))


if __name__ == "__main__":
    main()
