# SPDX-License-Identifier: GPL-2.0-or-later
"""What one access costs, kind by kind, beside an IN from a compiled device in the same run, in ns of CPU time.

    python bench/accesses.py [--runs 9] [--count 200000] [--engine unicorn]

A loop of one instruction in flat protected mode, without a guest program around it; the loop itself is in the figure.
Devices: the test device (compiled), and one in plain Python, whose access takes the GIL and calls a method. --json
prints medians only, for a script that compares two trees.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from statistics import median

import hyperport
from hyperport.cpu.state import protected_flat

CODE, BUFFER, COMPILED, PYTHON = 0x10_0000, 0x20_0000, 0x340, 0x350


@dataclass(frozen=True, slots=True)
class Kind:
    """code: the access, at a port in EDX; ESI and EDI point to a buffer. elements: set ECX to it each time."""

    name: str
    code: bytes
    elements: int = 0
    port: int = COMPILED
    io: str = "exit"


KINDS = (
    Kind("in", b"\xec"),
    Kind("out", b"\xee"),
    Kind("insb", b"\x6c"),
    *(Kind(f"rep insb of {n}", b"\xf3\x6c", n) for n in (1, 2, 4, 16)),
    *(Kind(f"rep outsw of {n}", b"\xf3\x66\x6f", n) for n in (1, 4, 256)),
    Kind("in by trap", b"\xec", io="trap"),
    Kind("rep insb of 4 by trap", b"\xf3\x6c", 4, io="trap"),
    Kind("in, device in Python", b"\xec", port=PYTHON),
    Kind("out, device in Python", b"\xee", port=PYTHON),
)


class Registers(hyperport.Device):
    """Registers in plain Python."""

    def __init__(self) -> None:
        self.values = [0] * self.span

    def read(self, offset: int, size: int) -> int:
        return self.values[offset] & (1 << 8 * size) - 1

    def write(self, offset: int, size: int, value: int) -> None:
        self.values[offset] = value & (1 << 8 * size) - 1


def loop(kind: Kind, count: int) -> bytes:
    """mov ebp, count; again: [mov ecx, n]; mov esi, edi, BUFFER; the access; dec ebp; jnz again; cli; hlt."""
    body = b"\xb9" + kind.elements.to_bytes(4, "little") if kind.elements else b""
    body += b"\xbe" + BUFFER.to_bytes(4, "little") + b"\xbf" + BUFFER.to_bytes(4, "little") + kind.code + b"\x4d"
    back = -(len(body) + 6) & 0xFFFFFFFF
    return b"\xbd" + count.to_bytes(4, "little") + body + b"\x0f\x85" + back.to_bytes(4, "little") + b"\xfa\xf4"


def measure(kind: Kind, count: int, engine: str) -> float:
    """ns for one turn of the loop."""
    with hyperport.Machine(memory=4 << 20, engine=engine, io=kind.io, testdev=True) as machine:
        machine.attach(Registers(), PYTHON)
        took = {}
        for rounds in (1000, count):  # the first translates the code
            machine.memory.write(CODE, loop(kind, rounds))
            state = protected_flat(eip=CODE)
            state.edx = kind.port
            machine.engine.set_state(state)
            began = time.thread_time_ns()
            machine.engine.run()
            took[rounds] = time.thread_time_ns() - began
    return took[count] / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--engine", default="unicorn")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results: dict[str, list[float]] = {kind.name: [] for kind in KINDS}
    for _ in range(options.runs):
        for kind in KINDS:
            results[kind.name].append(measure(kind, options.count, options.engine))
    peer = median(results["in"])
    if options.json:
        print(json.dumps({name: median(values) for name, values in results.items()}))
        return
    for name, values in results.items():
        row = f"{median(values):9.1f} ({min(values):.1f} to {max(values):.1f})"
        print(f"{name:<24} ns {row:<32} beside in {median(values) / peer:6.2f}")


if __name__ == "__main__":
    main()
