# SPDX-License-Identifier: GPL-2.0-or-later
"""The first law on many generated guest programs: under qemu's TCG, and on all paths.

    tools/first_law.py --programs 100000 --seed 7
    tools/first_law.py --seed 7 --only 4711

One line sums up; status 1 if anything differed, with each such program (at most ten) as a listing and what differs.
Program N of a seed is always the same, whatever the number of programs. --no-qemu compares the paths with each other,
on more ports. --clock insns: with the clock of instructions. What the programs are: tests/io/law/programs.py; known
differences: tests/io/law/differences.py.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.io.law.differences import Difference, differences, listing
from tests.io.law.machines import QEMU, run_everywhere
from tests.io.law.programs import DECLARED, OURS, SHARED, RandomSource, calling_program, program

SHOWN = 10


def main() -> int:
    """Run the batches one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=int, default=10_000, metavar="N", help="how many (default 10000)")
    parser.add_argument("--seed", default="1", help="any text; the same seed gives the same programs (default 1)")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="begin with program N")
    parser.add_argument("--only", type=int, metavar="N", help="run program N alone and list it")
    parser.add_argument("--batch", type=int, default=4000, metavar="N", help="programs in one run of a guest")
    parser.add_argument("--calls", action="store_true", help="only programs that only call; implies --no-qemu")
    parser.add_argument("--no-qemu", action="store_true", help="the paths with each other only")
    parser.add_argument("--clock", default="real", metavar="CLOCK", help="of our machines, as hyperport run has it")
    arguments = parser.parse_args()
    arguments.no_qemu |= arguments.calls
    if QEMU is None and not arguments.no_qemu:
        print("first_law: qemu-system-i386 is not installed: apt-get install qemu-system-x86, or --no-qemu")
        return 2
    ports = DECLARED if arguments.calls else OURS if arguments.no_qemu else SHARED
    draw = calling_program if arguments.calls else program
    first, count = (arguments.first, arguments.programs) if arguments.only is None else (arguments.only, 1)
    began, found, accesses = time.monotonic(), 0, 0
    for start in range(first, first + count, arguments.batch):
        numbers = range(start, min(start + arguments.batch, first + count))
        programs = [draw(RandomSource(f"{arguments.seed}/{number}"), ports) for number in numbers]
        with tempfile.TemporaryDirectory() as directory:
            seen = run_everywhere(programs, Path(directory), qemu=not arguments.no_qemu, clock=arguments.clock)
        accesses += sum(len(data) // size for log in seen["trap"].accesses for _, _, size, data in log)
        if arguments.only is not None:
            print(listing(programs[0]))
        for difference in differences(programs, seen):
            found += 1
            if found <= SHOWN:
                show(difference, start, arguments.seed, listing(programs[difference.index]))
        if sys.stderr.isatty():
            print(f"\r{numbers.stop - first} programs, {found} differences", end="", file=sys.stderr, flush=True)
    machines = "all paths" if arguments.no_qemu else "qemu and all paths"
    print(
        f"first_law: {count} programs, {accesses} accesses on {machines}: {found} differences "
        f"(seed {arguments.seed}, {time.monotonic() - began:.0f} s)"
    )
    return 1 if found else 0


def show(difference: Difference, start: int, seed: str, text: str) -> None:
    """One program that differs, and how to run it again."""
    print(f"program {start + difference.index} (--seed {seed} --only {start + difference.index}): ", end="")
    print(f"{difference.left} / {difference.right}", *difference.what, text, "", sep="\n")


if __name__ == "__main__":
    sys.exit(main())
