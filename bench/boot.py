# SPDX-License-Identifier: GPL-2.0-or-later
"""Boots Debian's i386 kernel to its marker and lets it reboot: CPU seconds on hyperport and on qemu TCG.

python bench/boot.py [--guest debian] [--pairs 3]
python bench/boot.py --clock insns      # beside hyperport with its real clock, in place of qemu
"""

from __future__ import annotations

import argparse
import sys

from hyperport.guests.registry import locate
from pairs import Run, alternate, hyperport, qemu, report, run

MARKER = "hyperport: guest ready"
LIMIT_S = 180.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--guest", default="debian")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--clock", help="a clock for hyperport; the peer is then hyperport with the real one")
    options = parser.parse_args()
    guest = locate(options.guest)
    append = f"{guest.append} hp.test=reboot"
    if guest.initrd is None:
        sys.exit(f"{options.guest} has no initrd: choose debian or debian-pae")
    plain = hyperport("--kernel", guest.kernel, "--initrd", guest.initrd, "--append", append)
    if options.clock is None:
        peer = "qemu"
        theirs_command = qemu("-kernel", guest.kernel, "-initrd", guest.initrd, "-append", append)
    else:
        peer = "real clock"
        theirs_command = plain
    commands = {"hyperport": [*plain, "--clock", options.clock or "real"], peer: theirs_command}

    def job(name: str) -> Run:
        finished = run(commands[name], LIMIT_S)
        if MARKER not in finished.output:
            sys.exit(f"{name}: no {MARKER!r} on the console; its end: {finished.output[-500:]}")
        return finished

    ours, theirs = alternate(options.pairs, lambda: job("hyperport"), lambda: job(peer))
    report(f"{options.guest} boot + reboot", "CPU s", [r.cpu_s for r in ours], [r.cpu_s for r in theirs], peer)
    report(f"{options.guest} boot + reboot", "wall s", [r.wall_s for r in ours], [r.wall_s for r in theirs], peer)


if __name__ == "__main__":
    main()
