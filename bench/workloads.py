# SPDX-License-Identifier: GPL-2.0-or-later
"""The workloads on hyperport, by exit and by hypercall, and on qemu TCG: ns for each port access.

    python bench/workloads.py [--pairs 5] [--scale 1.0]

The same program on both, which times itself by the TSC. `hyperport compare` sets the paths beside each other; this sets
them beside a peer.
"""

from __future__ import annotations

import argparse

from hyperport.observe.compare import WAYS, WORKLOADS, Job, Workload, measure
from pairs import alternate, report, workload_on_qemu

NAMES = ("cmos", "pci", "delay", "mix")  # qemu has the same devices there, and no host behind them


def ours(workload: Workload, path: str, units: int) -> float:
    measured = measure(Job(workload, WAYS[path], "unicorn", units))
    return measured.ns / measured.accesses  # as it is: qemu's time holds whatever the host did meanwhile, too


def theirs(workload: Workload, units: int) -> float:
    accesses, ns = workload_on_qemu(workload.name, f"n={units} {workload.options}")
    return ns / accesses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0)
    options = parser.parse_args()
    for name in NAMES:
        for path in ("exit", "hypercall"):
            report(f"{name} by {path}", "ns", *both(WORKLOADS[name], path, options.pairs, options.scale))


def both(workload: Workload, path: str, pairs: int, scale: float) -> tuple[list[float], list[float]]:
    units = max(1, round(workload.units * scale))
    return alternate(pairs, lambda: ours(workload, path, units), lambda: theirs(workload, units))


if __name__ == "__main__":
    main()
