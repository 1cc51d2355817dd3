# SPDX-License-Identifier: GPL-2.0-or-later
"""What --stats costs: the same guest with it and without, in turn; ns of each event as the guest measures them.

    python bench/stats.py [--pairs 15] [--count 1000000]

The counters are always on, and --stats reads them once, after the run: `at the end` is that, in ms of CPU time.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from port import nanoseconds
from startup import figure

import hyperport as package
from hyperport.guests.registry import locate
from hyperport.observe.stats import write_statistics
from pairs import alternate, hyperport, run

LIMIT_S = 120.0


def at_the_end(file: Path) -> float:
    """ms of CPU time to gather and to write the statistics of a run."""
    with package.Machine(kernel=locate("demo").kernel, engine="unicorn") as machine:
        outcome = machine.run(timeout=LIMIT_S)
        began = time.thread_time_ns()
        write_statistics(str(file), machine.stats(outcome))
        return (time.thread_time_ns() - began) / 1e6


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--count", type=int, default=1_000_000)
    options = parser.parse_args()
    plain = hyperport("--kernel", locate("portbench").kernel, "--append", f"n={options.count}")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "stats.json"

        def job(*more: str) -> dict[str, float]:
            return nanoseconds(run([*plain, *more], LIMIT_S).output)

        with_it, without = alternate(options.pairs, lambda: job("--stats", str(file)), lambda: job())
        if not file.exists():
            sys.exit("no statistics were written")
        for name in without[0]:
            mine, other = [row[name] for row in with_it], [row[name] for row in without]
            ratios = [a / b for a, b in zip(mine, other, strict=True)]
            both = f"--stats {median(mine):8.1f} ns   without {median(other):8.1f} ns"
            print(f"{name:<16} {both}   ratio {figure(ratios)}")
        print(f"at the end       {figure([at_the_end(file) for _ in range(options.pairs)])} ms, of CPU time")


if __name__ == "__main__":
    main()
