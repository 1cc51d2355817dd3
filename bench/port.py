# SPDX-License-Identifier: GPL-2.0-or-later
"""What one event costs: the same guest program on hyperport and on qemu TCG, in ns per event.

    python bench/port.py [--pairs 5] [--count 1000000]

The program (guest/programs/portbench.c) times itself by the TSC, which both give the guest from the host.
"""

from __future__ import annotations

import argparse
import re
import sys

from hyperport.guests.registry import locate
from pairs import alternate, hyperport, qemu, report, run

LIMIT_S = 120.0


def nanoseconds(output: str) -> dict[str, float]:
    """The program's `bench NAME COUNT TICKS` lines in ns per event."""
    speed = re.search(r"^tsc_khz (\d+)", output, re.MULTILINE)
    if speed is None:
        sys.exit(f"the guest did not report its TSC: {output[-500:]}")
    ticks_per_ns = int(speed[1]) / 1e6
    rows = re.findall(r"^bench (\S+) (\d+) (\d+)", output, re.MULTILINE)
    return {name: int(ticks) / int(count) / ticks_per_ns for name, count, ticks in rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--count", type=int, default=1_000_000)
    options = parser.parse_args()
    kernel = locate("portbench").kernel
    arguments = ("-kernel", kernel, "-append", f"n={options.count}")
    ours, theirs = alternate(
        options.pairs,
        lambda: nanoseconds(run(hyperport("--kernel", kernel, "--append", f"n={options.count}"), LIMIT_S).output),
        lambda: nanoseconds(run(qemu(*arguments), LIMIT_S).output),
    )
    for name in ours[0]:
        report(name, "ns", [r[name] for r in ours], [r[name] for r in theirs])


if __name__ == "__main__":
    main()
