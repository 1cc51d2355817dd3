# SPDX-License-Identifier: GPL-2.0-or-later
"""What a 512-byte string costs: 256 words by REP INSW and by REP OUTSW, on hyperport and on qemu TCG, in ns.

    python bench/strings.py [--pairs 5] [--count 20000]

The program (guest/workloads/strings.c) times itself by the TSC, which both give the guest from the host. Two ports:
one that nobody owns on either side, and one with a device that takes words: here the test device, there the data
register of an IDE controller without drives, which has less to do.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from hyperport.observe.compare import WAYS, WORKLOADS, Job, measure
from pairs import alternate, report, workload_on_qemu


@dataclass(frozen=True, slots=True)
class Pair:
    """The same string at our port and at qemu's."""

    instruction: str
    direction: str
    port: int
    peers_port: int

    def words(self, port: int) -> str:
        return f"width=2 {self.direction} any port={port}"


def ours(pair: Pair, path: str, count: int) -> float:
    job = Job(WORKLOADS["strings"], WAYS[path], "unicorn", count, append=pair.words(pair.port))
    return measure(job).ns / count


def theirs(pair: Pair, count: int) -> float:
    _, ns = workload_on_qemu("strings", f"n={count} {pair.words(pair.peers_port)}")
    return ns / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--count", type=int, default=20_000)
    options = parser.parse_args()
    for port, peers_port, what in ((0x600, 0x600, "no owner"), (0x340, 0x1F0, "a device")):
        for pair in (Pair("INSW", "in", port, peers_port), Pair("OUTSW", "out", port, peers_port)):
            for path in ("exit", "hypercall"):
                title = f"{pair.instruction} {path}, {what}"
                report(title, "ns", *both(pair, path, options.pairs, options.count))


def both(pair: Pair, path: str, pairs: int, count: int) -> tuple[list[float], list[float]]:
    return alternate(pairs, lambda: ours(pair, path, count), lambda: theirs(pair, count))


if __name__ == "__main__":
    main()
