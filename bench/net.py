# SPDX-License-Identifier: GPL-2.0-or-later
"""Moving 4 KiB through an NE2000's data port: the same guest program on hyperport and on qemu TCG, in ns.

    python bench/net.py [--pairs 5] [--count 2000]

The program (guest/programs/netbench.c) times itself by the TSC.
"""

from __future__ import annotations

import argparse
import re
import sys

from port import nanoseconds

from hyperport.guests.registry import locate
from pairs import alternate, hyperport, qemu, report, run

LIMIT_S = 120.0
CARD = ("-netdev", "hubport,id=net0,hubid=0", "-device", "ne2k_isa,iobase=0x300,irq=9,netdev=net0")


def checksums(output: str) -> list[str]:
    return re.findall(r"^checksum \S+", output, re.MULTILINE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--count", type=int, default=2000)
    options = parser.parse_args()
    kernel = locate("netbench").kernel
    mine = hyperport("--kernel", kernel, "--append", f"n={options.count}", "--net", "none")
    peer = qemu("-kernel", kernel, "-append", f"n={options.count}", *CARD)
    ours, theirs = alternate(options.pairs, lambda: run(mine, LIMIT_S).output, lambda: run(peer, LIMIT_S).output)
    if len({tuple(checksums(output)) for output in (*ours, *theirs)}) != 1 or len(checksums(ours[0])) != 2:
        sys.exit(f"the two did not read the same: {ours[0][-300:]} and {theirs[0][-300:]}")
    for name in nanoseconds(ours[0]):
        report(
            f"netbench {name}, 4 KiB",
            "ns",
            [nanoseconds(output)[name] for output in ours],
            [nanoseconds(output)[name] for output in theirs],
        )


if __name__ == "__main__":
    main()
