# SPDX-License-Identifier: GPL-2.0-or-later
"""Spoils the tables, the page and the ring of exitless port I/O, as a hostile guest could, and looks what comes of it.

    tools/fuzz_exitless.py --corruptions 10000000 --seed 3

A corruption is one write of random or likely bytes somewhere in there, also of the guest's own sequences and of entries
that name them; then something crosses, and the ring is drained. Now and then a guest runs for a moment, with
interrupts, whose calls use what was spoilt. Nothing may crash or hang, and no device may see a posted write but at a
port that it declares just then. Every second machine is not watched, and drains runs of entries as strings: there no
port may be written to, and no register counted as read, that was never declared. One line sums up; status 1 if a write
went elsewhere.
"""

from __future__ import annotations

import argparse
import random
import resource
import struct
import sys
import time
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[1]))

from hyperport import Machine, MemoryBackend
from hyperport.abi.numbers import (
    EXITLESS_BASE,
    EXITLESS_ENTRIES,
    EXITLESS_SITE_LIMIT,
    VMI_BY_NAME,
    EntryHead,
    Exitless,
    SiteField,
)
from hyperport.bus.access import Direction, PortAccess
from hyperport.bus.port_bus import Path as AccessPath
from hyperport.cpu.state import CODE_32, DATA_32, Segment, Table, protected_flat
from tests.io.test_exitless import CODE, GDT, HANDLER, HLT, IDT, ROM, STACK, VECTORS, Assembler
from tools.script import script

PORTS: Final = (0x80, 0x3F8, 0x70, 0x1F6, 0xCF8, 0x3C9, 0x340, 0xF4, 0x64, 0x92, 0xCF9, 0x604, 0x20, 0x1F7, 0xFFFF)
DOORBELL: Final = ROM.base + next(at for at, n in ROM.doorbells.items() if n == VMI_BY_NAME["OUTB"].number)
RUN_EACH: Final = 400  # corruptions between two runs of a guest
MACHINES: Final = 20  # unless there are too few corruptions for so many
MACHINE_LEAST: Final = 10_000  # corruptions of a machine
TIMER: Final = ((0x43, 0x34), (0x40, 60), (0x40, 0))  # an interrupt each 50 us
LONGEST_S: Final = 0.2  # of a run


class Fuzz:
    """One machine, and what its devices saw. watched: by an observer; else the bus's counts are looked at last."""

    def __init__(self, draw: random.Random, *, watched: bool) -> None:
        self.draw, self.watched = draw, watched
        self.machine = Machine(
            memory=4 << 20, engine="unicorn", io="exitless", testdev=True, parallel=MemoryBackend(limit=1 << 16)
        )
        self.posted = self.wrong = self.runs = 0
        self.declared: dict[int, int] = {}
        if watched:
            self.machine.bus.observe(self.seen)
        else:
            self.machine.bus.attributes.observe(self.declare)

    def seen(self, access: PortAccess) -> None:
        """Observe the bus."""
        if access.path == AccessPath.POSTED:
            self.posted += 1
            self.wrong += not self.machine.bus.attributes.at(access.port) & access.size

    def declare(self, port: int, attributes: int) -> None:
        """Observe what may be posted and what is shadowed."""
        self.declared[port] = self.declared.get(port, 0) | attributes

    def judge(self) -> None:
        """Of a machine that was not watched."""
        for row in self.machine.bus.counts():
            if row.path == AccessPath.POSTED:
                self.posted += row.accesses
            if row.path in (AccessPath.POSTED, AccessPath.SHADOW):
                shift = 0 if row.direction == Direction.OUT else 3
                self.wrong += not self.declared.get(row.port, 0) >> shift & row.size

    def word(self) -> int:
        """A port, a small number, or any."""
        draw = self.draw
        kind = draw.randrange(4)
        return draw.choice(PORTS) if kind == 0 else draw.randrange(600) if kind == 1 else draw.getrandbits(32)

    def corrupt(self) -> None:
        """Write something somewhere."""
        draw, write = self.draw, self.machine.memory.write
        kind = draw.randrange(8)
        if kind < 3:
            write(
                EXITLESS_BASE + Exitless.LEFT, struct.pack("<I", draw.choice((0, 1, 250, 254, 255, 256, self.word())))
            )
        elif kind < 6:
            entry = EXITLESS_BASE + Exitless.RING + 8 * (EXITLESS_ENTRIES - 1 - draw.randrange(8))
            size = draw.choice((1, 1, 2, 4, 0, 3, self.word() & 0xFF))
            head = self.word() & 0xFFFF | EntryHead.SIZE * size
            if draw.randrange(2):
                number = draw.choice((0, 1, EXITLESS_SITE_LIMIT - 1, EXITLESS_SITE_LIMIT, self.word() & 0x7FF))
                head |= EntryHead.SITE | EntryHead.NUMBER * number | EntryHead.PORT * draw.randrange(2)
            write(entry, struct.pack("<II", head & 0xFFFFFFFF, self.word()) * draw.choice((1, 1, 2, 8)))
        elif kind == 6:
            write(EXITLESS_BASE + draw.randrange(Exitless.END - 4), draw.randbytes(4))
        else:
            places = CODE + draw.randrange(64), CODE + draw.randrange(64)
            site = struct.pack("<2I2H", *places, self.word() & 0xFFFF, self.word() & 0xFFFF)
            number = draw.choice((0, 1, draw.randrange(EXITLESS_SITE_LIMIT)))
            write(EXITLESS_BASE + Exitless.SITES + SiteField.ROW * number, site)
            write(EXITLESS_BASE + Exitless.SITE_COUNT, struct.pack("<I", draw.choice((1, 340, 341, self.word()))))

    def run_guest(self) -> None:
        """Calls with whatever tables there are, with a timer's interrupts; it may come to grief."""
        machine = self.machine
        code = Assembler(CODE).add(b"\xb8\x01\x00\x00\x00\xba\x80\x00\x00\x00")  # mov $1, %eax; mov $0x80, %edx
        code.add(b"\xe8", struct.pack("<I", DOORBELL - (CODE + len(code.code) + 5) & 0xFFFFFFFF))  # the ring is opened
        code.add(b"\xfb")
        for _ in range(40):
            code.call(
                self.draw.choice(("OUTB", "OUTW", "OUTL", "INB", "INW", "INL")),
                self.draw.choice(PORTS[:7]),
                self.word(),
            )
        machine.memory.write(CODE, code.add(b"\xfa", HLT).code)
        machine.memory.write(HANDLER, b"\x50\xb0\x20\xe6\x20\x58\xcf")  # push eax; mov $0x20, %al; out; pop; iret
        flat = 0x00CF_9300_0000_FFFF
        machine.memory.write(GDT, struct.pack("<3Q", 0, flat | 0x0800 << 32, flat))
        machine.memory.write(IDT + 8 * VECTORS, struct.pack("<4H", HANDLER & 0xFFFF, 8, 0x8E00, HANDLER >> 16))
        for port, value in (
            (0x20, 0x11),
            (0x21, VECTORS),
            (0x21, 4),
            (0x21, 1),
            (0x21, 0xFE),
            (0x43, 0x34),
            (0x40, 60),
            (0x40, 0),
        ):
            machine.bus.outp(port, 1, value)
        state = protected_flat(eip=CODE)
        state.cs, state.ss = Segment(8, 0, 0xFFFFFFFF, CODE_32), Segment(16, 0, 0xFFFFFFFF, DATA_32)
        state.esp, state.idtr, state.gdtr = STACK, Table(IDT, 0x7FF), Table(GDT, 23)
        machine.engine.set_state(state)
        machine.run(timeout=LONGEST_S)
        machine.bus.outp(0x43, 1, 0x30)
        self.runs += 1


def main() -> int:
    """Corrupt so many times, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corruptions", type=int, default=100_000, metavar="N", help="how many (default 100000)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="the same seed gives the same corruptions")
    arguments = parser.parse_args()
    draw, began = random.Random(arguments.seed), time.monotonic()
    sums = dict.fromkeys(("runs", "posted", "refused", "restarted", "wrong"), 0)
    each = max(MACHINE_LEAST, arguments.corruptions // MACHINES)
    for first in range(0, arguments.corruptions, each):
        fuzz = Fuzz(draw, watched=first // each % 2 == 0)
        with fuzz.machine as machine:
            for number in range(min(each, arguments.corruptions - first)):
                fuzz.corrupt()
                if number % RUN_EACH == RUN_EACH - 1:
                    fuzz.run_guest()
                else:
                    machine.bus.inp(0x7000)  # nobody's: a crossing
            assert machine.exitless is not None
            counts = machine.exitless.counts()
            if not fuzz.watched:
                fuzz.judge()
        for name in ("runs", "posted", "wrong"):
            sums[name] += getattr(fuzz, name)
        for name in ("refused", "restarted"):
            sums[name] += counts[name]
    print(
        f"fuzz_exitless: {arguments.corruptions} corruptions, {sums['runs']} guests, {sums['posted']} posted writes, "
        f"{sums['refused']} refused, {sums['restarted']} restarted, {sums['wrong']} elsewhere (seed {arguments.seed}, "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB, {time.monotonic() - began:.0f} s)"
    )
    return 1 if sums["wrong"] else 0


if __name__ == "__main__":
    script(main)
