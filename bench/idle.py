# SPDX-License-Identifier: GPL-2.0-or-later
"""What an idle guest costs its host: CPU microseconds for a timer tick that ends a HLT, on hyperport and on qemu TCG.

    python bench/idle.py [--pairs 5] [--hz 250] [--ticks 500]

The guest is the workload `ticks` (guest/workloads/ticks.c). What a process takes for a few ticks is taken off, so start
and end are not in the figure.
"""

from __future__ import annotations

import argparse
import sys

from hyperport.guests.registry import locate
from pairs import alternate, hyperport, qemu, report, run

FEW = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--hz", type=int, default=250)
    parser.add_argument("--ticks", type=int, default=500)
    options = parser.parse_args()
    kernel = locate("ticks").kernel

    def microseconds(command: list[str], ticks: int) -> float:
        finished = run([*command, f"ops=native hz={options.hz} n={ticks}"], 60 + ticks / options.hz)
        if "checksum" not in finished.output:
            sys.exit(f"{command[0]}: the workload did not come to its end: {finished.output[-500:]}")
        return finished.cpu_s * 1e6

    def each(command: list[str]) -> float:
        return float((microseconds(command, options.ticks) - microseconds(command, FEW)) / (options.ticks - FEW))

    ours, theirs = alternate(
        options.pairs,
        lambda: each(hyperport("--kernel", kernel, "--append")),
        lambda: each(qemu("-kernel", kernel, "-append")),
    )
    report(f"idle, {options.hz} ticks a second", "us", ours, theirs)


if __name__ == "__main__":
    main()
