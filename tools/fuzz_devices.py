# SPDX-License-Identifier: GPL-2.0-or-later
"""Fuzz the devices: each chip alone, and the whole board (hyperport.testing.fuzz).

    python tools/fuzz_devices.py --accesses 10000000 --seed 1 [--device NAME]

One line for each subject. Each runs in a child process: if that dies, or does not get on for --patience seconds, the
line names seed and step, and how to see it again. Exit status 0 if nothing was found, else 1.
"""

from __future__ import annotations

import argparse
import mmap
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from hyperport.devices import CHIPS
from hyperport.testing.fuzz import BOARD, fuzz, subject
from tools.script import script
from tools.watched import Child

LOOK_S = 0.05


def run(device: str, options: argparse.Namespace) -> bool:
    """Fuzz one subject in a child; True if nothing was found."""

    def work(progress: mmap.mmap) -> None:
        print(fuzz(subject(device), options.accesses, options.seed, progress=progress), flush=True)

    child = Child(work, options.patience)
    while (end := child.poll()) is None:
        time.sleep(LOOK_S)
    if end.what:
        print(
            f"{device}: {end.what} at step {end.step}, seed {options.seed}; again: "
            f"python tools/fuzz_devices.py --device {device} --seed {options.seed} --accesses {options.accesses}",
            flush=True,
        )
    return not end.what


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Fuzz the devices, each alone and the whole board.")
    parser.add_argument("--accesses", type=int, default=1_000_000, help="for each subject (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", choices=[*sorted(CHIPS), BOARD], action="append", help="may be repeated")
    parser.add_argument("--patience", type=float, default=60.0, help="seconds without progress that count as a hang")
    options = parser.parse_args()
    names = options.device or [*sorted(CHIPS), BOARD]
    began = time.monotonic()
    good = sum(run(name, options) for name in names)
    print(
        f"fuzz: {good} of {len(names)} good, {options.accesses * len(names)} accesses, seed {options.seed},"
        f" {time.monotonic() - began:.0f} s"
    )
    return 0 if good == len(names) else 1


if __name__ == "__main__":
    script(main)
