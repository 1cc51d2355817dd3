# SPDX-License-Identifier: GPL-2.0-or-later
"""What an empty guest costs: from the shell to the exit status beside qemu TCG, and as the second machine of a process.

    python bench/startup.py [--pairs 30] [--machines 200]

The guest is one Multiboot image of 44 bytes that writes to the debug exit; it is given to both. CPU seconds are user
and system together, of all threads. The interval is the distribution-free one of a median, 95 %.
"""

from __future__ import annotations

import argparse
import gc
import struct
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import hyperport
from hyperport.observe.figures import interval
from pairs import Run, alternate, qemu, run

LIMIT_S = 60.0
LOAD_AT = 0x100000
HEADER = struct.Struct("<8I")
MAGIC, ADDRESSES = 0x1BADB002, 1 << 16
CODE = bytes.fromhex("31c0 e6f4 f4")  # xor eax, eax; out 0xf4, al; hlt
CLOCKS = ("CPU", time.process_time_ns), ("wall", time.perf_counter_ns)


def empty_guest() -> bytes:
    """A Multiboot kernel by load addresses: it exits with value 0 at its first port access."""
    end = LOAD_AT + HEADER.size + len(CODE)
    sum_to_zero = -(MAGIC + ADDRESSES) & 0xFFFFFFFF
    return HEADER.pack(MAGIC, ADDRESSES, sum_to_zero, LOAD_AT, LOAD_AT, end, end, LOAD_AT + HEADER.size) + CODE


def figure(values: Sequence[float]) -> str:
    """Median and interval."""
    low, high = interval(values)
    return f"{median(values):.3f} ({low:.3f} to {high:.3f})"


def from_shell(image: Path, pairs: int, engine: Sequence[str]) -> None:
    """The row of whole processes."""
    ours = [sys.executable, "-m", "hyperport", "run", "-q", *engine, "--kernel", str(image)]
    theirs = qemu("-kernel", image)

    def job(command: Sequence[str]) -> Run:
        finished = run(command, LIMIT_S)
        if finished.status != 1:  # what both make of value 0
            sys.exit(f"{command[0]}: status {finished.status}, not the guest's 1: {finished.output[-300:]}")
        return finished

    for command in (ours, theirs):  # files are in the host's cache, and what KVM is worth in ours
        job(command)
    mine, peer = alternate(pairs, lambda: job(ours), lambda: job(theirs))
    for unit in ("cpu_s", "wall_s"):
        us, them = [getattr(each, unit) for each in mine], [getattr(each, unit) for each in peer]
        ratios = [a / b for a, b in zip(us, them, strict=True)]
        title = f"from the shell{', ' if engine else ''}{' '.join(engine)}"
        print(f"{title:<34} {unit:<7} hyperport {figure(us):<26} qemu {figure(them):<26} ratio {figure(ratios)}")


def second_machine(image: Path, machines: int) -> None:
    """The row of machines that one process builds, runs and closes one after the other; the first is not counted."""
    rows: dict[str, list[float]] = {name: [] for name, _ in CLOCKS}
    for number in range(machines + 1):
        began = [clock() for _, clock in CLOCKS]
        with hyperport.Machine(kernel=image, engine="unicorn") as machine:
            outcome = machine.run()
        ended = [clock() for _, clock in CLOCKS]
        if outcome != hyperport.GuestExit(0):
            sys.exit(f"the empty guest ended otherwise: {outcome}")
        for (name, _), begin, end in zip(CLOCKS, began, ended, strict=True):
            if number:
                rows[name].append((end - begin) / 1e6)
    gc.collect()
    for name, values in rows.items():
        print(f"{'another machine in a process':<34} {name + ' ms':<7} hyperport {figure(values)}")


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--machines", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "empty.elf"
        image.write_bytes(empty_guest())
        from_shell(image, options.pairs, ())
        from_shell(image, options.pairs, ("--engine", "unicorn"))
        second_machine(image, options.machines)


if __name__ == "__main__":
    main()
