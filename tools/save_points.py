# SPDX-License-Identifier: GPL-2.0-or-later
"""Save a booting guest at random points, let each go on in another process, and compare the ends with an unbroken run.

    python tools/save_points.py --guest debian --points 50 --clock insns

    python tools/save_points.py --guest vmiguest --append "" --io exitless --moments

Compared are the console's text, the memory's hash and the time at the guest's end. Exit status 0 if all are the same.
The clock has to be one by which two runs are the same: insns, or virtual for guests that wait in HLT alone.
A point is an access, or with --moments a moment of the guest's time, between any two instructions: on exitless there
are writes that wait by then. There the guest's calls have other instructions after a stop, so its time and its memory
differ, and only text and end are compared.
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
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from hyperport import Machine, MemoryBackend, Timeout
from hyperport.bus.access import PortAccess
from hyperport.guests.registry import locate
from hyperport.lines.attention import StopKind
from hyperport.time.clock import VirtualClock
from tests.io.law.saved import memory_of
from tools.script import script

LIMIT_S = 600
UNUSED_PORT = 0x2A0


def booted(options: argparse.Namespace, console: MemoryBackend) -> Machine:
    """The guest before its first instruction."""
    guest = locate(options.guest)
    settings: dict[str, Any] = {"memory": options.mem << 20, "engine": "unicorn", "io": options.io}
    settings |= {"clock": VirtualClock()} if options.clock == "virtual" else {"clock": options.clock}
    append = f"{guest.append} {options.append}".strip()
    return Machine(kernel=guest.kernel, initrd=guest.initrd, append=append, serial=console, **settings)


def end_of(machine: Machine, console: MemoryBackend, outcome: Any) -> dict[str, Any]:
    """What is compared."""
    return {
        "outcome": str(outcome),
        "console": console.output().decode("latin-1"),
        "memory": hashlib.sha256(memory_of(machine)).hexdigest(),
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


class Moments:
    """A device that nobody drives: it stops the run at moments, in ns of the guest's clock."""

    name, span, stateless = "moments", 1, True
    timer: Any

    def __init__(self, machine: Machine, points: list[int]) -> None:
        self.machine, self.points = machine, iter(points)

    def read(self, _offset: int, _size: int) -> int:
        """Nothing."""
        return 0

    def write(self, _offset: int, _size: int, _value: int) -> None:
        """Has no effect."""

    def arm(self) -> None:
        """Wait for the next moment; not before the machine is saved, which would wait for it, too."""
        point = next(self.points, None)
        if point is not None:
            self.timer.arm_at(point)

    def on_timer(self, _: int) -> None:
        """It has come."""
        self.machine.request_stop(StopKind.TIMEOUT)


def attach_moments(machine: Machine, points: list[int]) -> Moments:
    """At a port where no chip is."""
    moments = Moments(machine, points)
    machine.attach(moments, UNUSED_PORT)
    return moments


def unbroken(options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    """The end of a run without stops, and how many accesses it made."""
    console = MemoryBackend()
    with booted(options, console) as machine:
        stops = Stops(machine, [])
        machine.bus.observe(stops)
        return end_of(machine, console, machine.run(timeout=LIMIT_S)), stops.seen


def saved(options: argparse.Namespace, points: list[int], folder: Path) -> tuple[dict[str, Any], list[int]]:
    """A run that is saved at each point and goes on: its end, and how much the console had got at each."""
    console = MemoryBackend()
    lengths: list[int] = []
    took, sizes = [], []
    with booted(options, console) as machine:
        moments = attach_moments(machine, points) if options.moments else None
        if moments is None:
            machine.bus.observe(Stops(machine, points))
        else:
            moments.arm()
        while isinstance(outcome := machine.run(timeout=LIMIT_S), Timeout) and len(lengths) < len(points):
            began = time.process_time()
            sizes.append(machine.save(folder / f"{len(lengths)}.state"))
            took.append(time.process_time() - began)
            lengths.append(len(console.output()))
            if moments is not None:
                moments.arm()
        print(
            f"saved {len(took)}: {1e3 * sum(took) / len(took):.0f} ms CPU, {sum(sizes) // len(sizes)} bytes on average"
        )
        return end_of(machine, console, outcome), lengths


def go_on(file: Path, moments: bool) -> None:
    """In another process: restore, run to the end, print it."""
    console = MemoryBackend()
    attach = (lambda machine: attach_moments(machine, [])) if moments else None
    with Machine.restore(file, serial=console, attach=attach) as machine:
        outcome = machine.run(timeout=LIMIT_S)
        print(json.dumps(end_of(machine, console, outcome)))


def differences(whole: dict[str, Any], other: dict[str, Any], length: int, keys: Sequence[str]) -> list[str]:
    """Which of keys differ between the unbroken end and one that began when the console had length bytes."""
    expected = whole | {"console": whole["console"][length:]}
    return [key for key in keys if other[key] != expected[key]]


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Save a booting guest at random points and compare the ends.")
    parser.add_argument("--guest", default="debian")
    parser.add_argument("--append", default="hp.test=reboot", help="more words for its command line")
    parser.add_argument("--points", type=int, default=50)
    parser.add_argument("--moments", action="store_true", help="points in time, not accesses")
    parser.add_argument("--clock", default="insns", help="virtual, or as for hyperport run")
    parser.add_argument("--io", default="exit")
    parser.add_argument("--mem", type=int, default=128, metavar="MIB")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--go-on", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.go_on is not None:
        go_on(options.go_on, options.moments)
        return 0
    whole, accesses = unbroken(options)
    print(
        f"unbroken: {whole['outcome']}, {accesses} accesses, {whole['now']} ns, memory {whole['memory'][:16]}",
        flush=True,
    )
    last = whole["now"] if options.moments else accesses
    points = sorted(random.Random(options.seed).sample(range(1, last), options.points))
    keys = ("outcome", "console") if options.io == "exitless" else tuple(whole)
    good = 0
    with TemporaryDirectory() as name:
        folder = Path(name)
        end, lengths = saved(options, points, folder)
        print(f"saved on the way, and gone on: differs in {differences(whole, end, 0, keys) or 'nothing'}", flush=True)
        for number, (point, length) in enumerate(zip(points, lengths, strict=True)):
            file = folder / f"{number}.state"
            done = subprocess.run(
                [sys.executable, __file__, "--go-on", str(file), *["--moments"] * options.moments],
                env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
                capture_output=True,
                text=True,
                timeout=LIMIT_S,
                check=False,
            )
            wrong = (
                differences(whole, json.loads(done.stdout), length, keys)
                if not done.returncode
                else [done.stderr[-500:]]
            )
            good += not wrong
            if wrong:
                print(f"{'moment' if options.moments else 'access'} {point}: differs in {wrong}", flush=True)
            file.unlink()
    print(f"{good} of {len(points)} points go on as the unbroken run", flush=True)
    return 0 if good == len(points) else 1


if __name__ == "__main__":
    script(main)
