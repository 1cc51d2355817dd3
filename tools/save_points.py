# SPDX-License-Identifier: GPL-2.0-or-later
"""Save a booting guest at random points, let each go on in another process, and compare the ends with an unbroken run.

    python tools/save_points.py --guest debian --points 50 --clock insns

Compared are the console's text, the memory's hash and the time at the guest's end. Exit status 0 if all are the same.
The clock has to be one by which two runs are the same: insns, or virtual for guests that wait in HLT alone.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from hyperport import Machine, MemoryBackend, Timeout
from hyperport.bus.access import PortAccess
from hyperport.guests.registry import locate
from hyperport.lines.attention import StopKind
from hyperport.time.clock import VirtualClock

LIMIT_S = 600


def booted(options: argparse.Namespace, console: MemoryBackend) -> Machine:
    """The guest before its first instruction."""
    guest = locate(options.guest)
    settings: dict[str, Any] = {"memory": options.mem << 20, "engine": "unicorn", "io": options.io}
    settings |= {"clock": VirtualClock()} if options.clock == "virtual" else {"clock": options.clock}
    append = f"{guest.append} {options.append}".strip()
    return Machine(kernel=guest.kernel, initrd=guest.initrd, append=append, serial=console, **settings)


def end_of(machine: Machine, console: MemoryBackend, outcome: Any) -> dict[str, Any]:
    """What is compared."""
    memory = b"".join(machine.memory.read(low, high - low) for low, high in machine.memory.regions())
    return {
        "outcome": str(outcome),
        "console": console.output().decode("latin-1"),
        "memory": hashlib.sha256(memory).hexdigest(),
        "now": machine.clock.now_ns(),
    }


class Stops:
    """Stops the run after accesses number so and so."""

    def __init__(self, machine: Machine, points: list[int]) -> None:
        self.machine, self.points, self.seen = machine, set(points), 0

    def __call__(self, _: PortAccess) -> None:
        """What the bus calls with each access."""
        self.seen += 1
        if self.seen in self.points:
            self.machine.request_stop(StopKind.TIMEOUT)


def unbroken(options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    """The end of a run without stops, and how many accesses it made."""
    console = MemoryBackend()
    with booted(options, console) as machine:
        stops = Stops(machine, [])
        machine.bus.observe(stops)
        return end_of(machine, console, machine.run(timeout=LIMIT_S)), stops.seen


def saved(options: argparse.Namespace, points: list[int], folder: Path) -> tuple[dict[str, Any], list[int]]:
    """A run that is saved at each point and goes on: its end, and how much the console had got at each."""
    console, lengths = MemoryBackend(), []
    took, sizes = [], []
    with booted(options, console) as machine:
        machine.bus.observe(Stops(machine, points))
        while isinstance(outcome := machine.run(timeout=LIMIT_S), Timeout) and len(lengths) < len(points):
            began = time.process_time()
            sizes.append(machine.save(folder / f"{len(lengths)}.state"))
            took.append(time.process_time() - began)
            lengths.append(len(console.output()))
        print(
            f"saved {len(took)}: {1e3 * sum(took) / len(took):.0f} ms CPU, {sum(sizes) // len(sizes)} bytes on average"
        )
        return end_of(machine, console, outcome), lengths


def go_on(file: Path) -> None:
    """In another process: restore, run to the end, print it."""
    console = MemoryBackend()
    with Machine.restore(file, serial=console) as machine:
        outcome = machine.run(timeout=LIMIT_S)
        print(json.dumps(end_of(machine, console, outcome)))


def differences(whole: dict[str, Any], other: dict[str, Any], length: int) -> list[str]:
    """What differs between the unbroken end and one that began when the console had length bytes."""
    expected = whole | {"console": whole["console"][length:]}
    return [key for key, value in expected.items() if other[key] != value]


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Save a booting guest at random points and compare the ends.")
    parser.add_argument("--guest", default="debian")
    parser.add_argument("--append", default="hp.test=reboot", help="more words for its command line")
    parser.add_argument("--points", type=int, default=50)
    parser.add_argument("--clock", default="insns", help="virtual, or as for hyperport run")
    parser.add_argument("--io", default="exit")
    parser.add_argument("--mem", type=int, default=128, metavar="MIB")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--go-on", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.go_on is not None:
        go_on(options.go_on)
        return 0
    whole, accesses = unbroken(options)
    print(
        f"unbroken: {whole['outcome']}, {accesses} accesses, {whole['now']} ns, memory {whole['memory'][:16]}",
        flush=True,
    )
    points = sorted(random.Random(options.seed).sample(range(1, accesses), options.points))
    good = 0
    with TemporaryDirectory() as name:
        folder = Path(name)
        end, lengths = saved(options, points, folder)
        print(f"saved on the way, and gone on: differs in {differences(whole, end, 0) or 'nothing'}", flush=True)
        for number, (point, length) in enumerate(zip(points, lengths, strict=True)):
            file = folder / f"{number}.state"
            done = subprocess.run(
                [sys.executable, __file__, "--go-on", str(file)],
                env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
                capture_output=True,
                text=True,
                timeout=LIMIT_S,
                check=False,
            )
            wrong = differences(whole, json.loads(done.stdout), length) if not done.returncode else [done.stderr[-500:]]
            good += not wrong
            if wrong:
                print(f"access {point}: differs in {wrong}", flush=True)
            file.unlink()
    print(f"{good} of {len(points)} points go on as the unbroken run", flush=True)
    return 0 if good == len(points) else 1


if __name__ == "__main__":
    sys.exit(main())
