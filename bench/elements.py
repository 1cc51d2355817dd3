# SPDX-License-Identifier: GPL-2.0-or-later
"""What an element of a REP string of 256 costs at each chip, and an access of a device in plain Python: ns of CPU time.

    python bench/elements.py [--rounds 30] [--turns 400] [--ports]

A loop of REP INS or OUTS in flat protected mode, path exit, on Unicorn; the loop, and what the chip needs to have data
(a command of a disk, the address registers of a network card), is in the figure. Each round runs every row once. Of the
other chips the slowest port is shown, with --ports all. Ports at which an OUTS ends the run are left out: the debug
exits, power off, and the byte at CF9h. A figure is the median of the rounds with its 95 % interval.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from accesses import Registers

import hyperport
from hyperport.cpu.state import protected_flat
from hyperport.observe.figures import interval

CODE, BUFFER, PYTHON = 0x10_0000, 0x20_0000, 0x350
NOBODY, POST, DEBUGCON, IDE, NE2000 = 0x7000, 0x80, 0xE9, 0x1F0, 0x300
ELEMENTS = 256
FILL = 0x02  # the bytes that are written: at port 92h they leave A20 on and reset alone
ENDS_THE_RUN = {"debug-exit", "power-off"}
RESET = {0x64, 0xCF9}  # port 64h: a command byte is no string
STRING = {("in", 1): b"\xf3\x6c", ("in", 2): b"\xf3\x66\x6d", ("out", 1): b"\xf3\x6e", ("out", 2): b"\xf3\x66\x6f"}
WAYS = ("out", "in")
SINGLE = {"in": b"\xec", "out": b"\xee"}
READ_MULTIPLE, WRITE_MULTIPLE, SET_MULTIPLE = 0xC4, 0xC5, 0xC6
SECTORS = 256  # of one command: a count register of 0
DISK = 1 << 20
CARD_BYTES = 0xF000  # of one remote DMA: RBCR0 and RBCR1
CARD_WORDS = 0x49  # DCR: words, FIFO threshold of 8 bytes; without bit 0, bytes


def long(number: int) -> bytes:
    return number.to_bytes(4, "little")


def outs(*writes: tuple[int, int]) -> bytes:
    """mov edx, port; mov al, value; out dx, al for each."""
    return b"".join(b"\xba" + long(port) + b"\xb0" + bytes([value]) + b"\xee" for port, value in writes)


def repeat(times: int, register: int, body: bytes) -> bytes:
    """mov register, times; again: body; dec register; jnz again."""
    back = -(len(body) + 8) & 0xFFFFFFFF
    return bytes([0xB8 | register]) + long(times) + body + bytes([0xFF, 0xC8 | register]) + b"\x0f\x85" + long(back)


@dataclass(frozen=True, slots=True)
class Row:
    """A turn: setup once, then so many strings (or single accesses, with elements 1) at the port."""

    name: str
    port: int
    direction: str
    size: int = 1
    elements: int = ELEMENTS
    setup: bytes = b""
    strings: int = 1

    def program(self, turns: int) -> bytes:
        access = SINGLE[self.direction] if self.elements == 1 else STRING[self.direction, self.size]
        string = b"\xb9" + long(self.elements) + b"\xbe" + long(BUFFER) + b"\xbf" + long(BUFFER) + access
        body = self.setup + b"\xba" + long(self.port) + repeat(self.strings, 3, string)
        return repeat(max(1, turns // self.strings), 5, body) + b"\xfa\xf4"

    def moved(self, turns: int) -> int:
        return max(1, turns // self.strings) * self.strings * self.elements


def ide(direction: str, size: int) -> Row:
    command = READ_MULTIPLE if direction == "in" else WRITE_MULTIPLE
    setup = outs((IDE + 6, 0xE0), (IDE + 2, 0), (IDE + 3, 0), (IDE + 4, 0), (IDE + 5, 0), (IDE + 7, command))
    return Row(f"IDE, {'bytes' if size == 1 else 'words'}", IDE, direction, size, setup=setup, strings=SECTORS)


def card(direction: str, size: int) -> Row:
    begin = 0x0A if direction == "in" else 0x12  # CR: start, remote read or write
    low, high = CARD_BYTES.to_bytes(2, "little")
    setup = outs(
        *((NE2000, 0x21), (NE2000 + 0x0E, CARD_WORDS if size == 2 else CARD_WORDS & ~1)),
        *((NE2000 + 8, 0), (NE2000 + 9, 0x40), (NE2000 + 0xA, low), (NE2000 + 0xB, high), (NE2000, begin)),
    )
    name = f"NE2000, {'bytes' if size == 1 else 'words'}"
    return Row(name, NE2000 + 0x10, direction, size, setup=setup, strings=CARD_BYTES // (ELEMENTS * size))


BYTE_PORTS = (("nobody's port", NOBODY), ("port 80h", POST), ("port E9h", DEBUGCON))
BLOCKS = (
    *(Row(name, port, way) for name, port in BYTE_PORTS for way in WAYS),
    *(make(way, size) for make in (ide, card) for size in (1, 2) for way in WAYS),
)
SINGLES = tuple(Row("a device in Python", PYTHON, way, elements=1) for way in WAYS)


def every_port(machine: hyperport.Machine) -> Iterator[Row]:
    """Strings at each port of each other chip of the board."""
    for first, last, name in machine.bus.map():
        if name in ENDS_THE_RUN or first in (POST, DEBUGCON, PYTHON):
            continue
        for port in range(first, last + 1):
            if port not in RESET:
                yield from (Row(name, port, way) for way in WAYS)


def measure(machine: hyperport.Machine, row: Row, turns: int) -> float:
    """ns for an element."""
    took = 0
    for rounds in (1, turns):  # the first translates the code
        machine.memory.write(BUFFER, bytes([FILL]) * (2 * ELEMENTS))
        machine.memory.write(CODE, row.program(rounds))
        machine.engine.set_state(protected_flat(eip=CODE))
        began = time.thread_time_ns()
        machine.engine.run()
        took = time.thread_time_ns() - began
    return took / row.moved(turns)


def figure(values: list[float]) -> str:
    low, high = interval(values)
    return f"{median(values):7.2f} [{low:.2f}, {high:.2f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--turns", type=int, default=400)
    parser.add_argument("--ports", action="store_true")
    options = parser.parse_args()
    results: dict[Row, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        disk = Path(folder) / "disk.img"
        disk.write_bytes(bytes(DISK))
        for _ in range(options.rounds):
            with hyperport.Machine(memory=4 << 20, engine="unicorn", disks=(str(disk),), net=("none",)) as machine:
                machine.attach(Registers(), PYTHON)
                machine.bus.outp(IDE + 2, 1, 128)
                machine.bus.outp(IDE + 7, 1, SET_MULTIPLE)
                for row in (*BLOCKS, *SINGLES, *every_port(machine)):
                    turns = options.turns * (ELEMENTS // 4 if row.elements == 1 else 1)
                    results[row].append(measure(machine, row, turns))
    for row in (*BLOCKS, *SINGLES):
        print(f"{row.name:<20} {row.direction:<4} ns {figure(results[row])}")
    others = [row for row in results if row not in BLOCKS and row not in SINGLES]
    slowest: dict[tuple[str, str], Row] = {}
    for row in sorted(others, key=lambda row: median(results[row])):
        slowest[row.name, row.direction] = row
    for row in others if options.ports else sorted(slowest.values(), key=lambda row: (row.name, row.direction)):
        print(f"{row.name:<12} {row.port:#07x} {row.direction:<4} ns {figure(results[row])}")


if __name__ == "__main__":
    main()
