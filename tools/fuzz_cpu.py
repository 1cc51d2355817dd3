# SPDX-License-Identifier: GPL-2.0-or-later
"""Hostile guest programs on the Unicorn engine (tests/engines/hostile): none may crash the process, or hang it.

    python tools/fuzz_cpu.py --programs 100000 --seed 1 --jobs 2
    python tools/fuzz_cpu.py --seed 1 --first 4704 --programs 8

Programs run in child processes. Where one dies, or does not get on for --patience seconds, a line names the program
and how to see it again, together with those that ran before it on the same machine; the rest goes on. Program N of a
seed is always the same. The last line sums up. Exit status 1 if anything was found.
"""

from __future__ import annotations

import argparse
import collections
import json
import mmap
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import hyperport.engines.unicorn  # noqa: F401  once, here, and not in each child
from tests.engines.hostile.machines import run_all
from tests.engines.hostile.programs import GROUP, program
from tools.script import script
from tools.watched import STEP_BYTES, Child

BATCH = 16 * GROUP  # programs that one child runs
LOOK_S = 0.02


def work_of(seed: str, indices: range, counts: Path) -> Callable[[mmap.mmap], None]:
    """What one child does: run, and leave the counts of outcomes in a file of its own."""

    def work(progress: mmap.mmap) -> None:
        def begins(index: int) -> None:
            progress[:STEP_BYTES] = index.to_bytes(STEP_BYTES, sys.byteorder)

        seen = run_all(seed, indices, begins)
        (counts / str(os.getpid())).write_text(json.dumps(seen))

    return work


def batches(first: int, programs: int) -> Iterator[range]:
    """The work, in pieces that end where groups end."""
    end = first + programs
    while first < end:
        stop = min(end, (first // BATCH + 1) * BATCH)
        yield range(first, stop)
        first = stop


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=int, default=10_000, metavar="N", help="how many (default %(default)s)")
    parser.add_argument("--seed", default="1", help="any text (default 1)")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="begin with program N")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="children at a time (default 1)")
    parser.add_argument("--patience", type=float, default=60.0, metavar="S", help="seconds that count as a hang")
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        found = run_batches(options, Path(directory))
        counts: collections.Counter[str] = collections.Counter()
        for path in Path(directory).iterdir():
            counts.update(json.loads(path.read_text()))
    took = time.monotonic() - began
    outcomes = ", ".join(f"{kind} {count}" for kind, count in counts.most_common())
    print(
        f"fuzz_cpu: {options.programs} programs, {found['crashes']} crashes, {found['hangs']} hangs, "
        f"{found['failures']} failures (seed {options.seed}, {took:.0f} s): {outcomes}"
    )
    return 1 if any(found.values()) else 0


def run_batches(options: argparse.Namespace, counts: Path) -> dict[str, int]:
    """Keep as many children at work as asked for, to the end; what was found of each kind."""
    waiting = list(batches(options.first, options.programs))[::-1]
    running: dict[Child, range] = {}
    found = {"crashes": 0, "hangs": 0, "failures": 0}
    while waiting or running:
        while waiting and len(running) < options.jobs:
            indices = waiting.pop()
            running[Child(work_of(options.seed, indices, counts), options.patience)] = indices
        time.sleep(LOOK_S)
        for child, indices in list(running.items()):
            end = child.poll()
            if end is None:
                continue
            del running[child]
            if end.what:
                found[kind_of(end.what)] += 1
                report(options.seed, end.step, end.what)
                if end.step + 1 < indices.stop:
                    waiting.append(range(end.step + 1, indices.stop))
    return found


def report(seed: str, index: int, what: str) -> None:
    """One line for a program that was bad, and how to see it again."""
    first = index // GROUP * GROUP
    print(
        f"program {index} ({program(seed, index).title}): {what}; again: "
        f"python tools/fuzz_cpu.py --seed {seed} --first {first} --programs {index - first + 1}",
        flush=True,
    )


def kind_of(what: str) -> str:
    """Which count a verdict of Child belongs to."""
    return "crashes" if what.startswith("died") else "hangs" if what.startswith("no progress") else "failures"


if __name__ == "__main__":
    script(main)
