# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest makes random histories of accesses, on `exit` by the instructions and on `exitless` by the ROM.

All that it sees is the same, and so is all that devices see but shadowed reads. The clock is virtual and stands still
while the guest does not sleep. So what comes by time comes at the same step on both paths, and an interrupt has to come
at the same step, too.
"""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from hyperport import HaltedForever, Machine, MemoryBackend
from hyperport.bus.access import PortAccess
from hyperport.cpu.state import CODE_32, DATA_32, Segment, Table, protected_flat
from hyperport.host.specs import DiskSpec, NetSpec
from hyperport.time.clock import VirtualClock

from ..io.test_exitless import entry
from .test_posted import BUSY, ENDS_A_RUN, VALUES

SEEDS: Final = 16
STEPS: Final = 1200
CODE, HANDLERS, STACK, IDT, GDT = 0x20_0000, 0x10_0000, 0x1F_0000, 0x10_8000, 0x10_9000
READS, INTERRUPTS, TAKEN = 0x11_0000, 0x12_0000, 0x10_A000  # u32 by step; {u32 step, u32 vector}; u32: how many
MOST_TAKEN: Final = 8000
VECTORS: Final = 0x20
FEEDER: Final = 0x2B0
CONTROLLERS: Final = (0x20, 0xA0)  # whose commands only the handlers write; masks are anybody's
PIT: Final = ((0x43, 0x34), (0x40, 0xA9), (0x40, 0x04))  # channel 0, 1 kHz
ICW: Final = (
    (0x20, 0x11),
    (0x21, VECTORS),
    (0x21, 4),
    (0x21, 1),
    (0xA0, 0x11),
    (0xA1, VECTORS + 8),
    (0xA1, 2),
    (0xA1, 1),
)
PHRASES: Final = (  # (port, values to draw from): what brings a chip to where something may or may not be posted
    *(((0x3FB, (3,)), (0x3FC, (0x0B, 0x1B)), (0x3F9, range(16)), *[(0x3F8, range(256))] * 4, (0x3FA, None)),) * 2,
    (
        (0x1F6, (0xA0, 0xE0, 0xF0)),
        (0x1F2, (1, 2)),
        (0x1F3, (0,)),
        (0x1F4, (0,)),
        (0x1F5, (0,)),
        (0x1F7, (0x20, 0xEC, 0x30)),
    ),
    ((0x70, (0x0B,)), (0x71, (0x12, 0x42, 0x72)), (0x70, (0x0A,)), (0x71, (0x26, 0x29)), (0x70, (0x0C,)), (0x71, None)),
    (
        (0x300, (0x21, 0x22, 0x62)),
        (0x30F, (0xFF, 0)),
        (0x30D, (0, 2)),
        (0x308, (64,)),
        (0x309, (0,)),
        (0x300, (0x22, 0x12)),
    ),
    ((0x3D4, range(32)), (0x3D5, None), (0x3CE, range(9)), (0x3CF, range(256))),
)
NAMES: Final = {1: "B", 2: "W", 4: "L"}
RAW: Final = {("in", 1): b"\xec", ("in", 2): b"\x66\xed", ("in", 4): b"\xed"} | {
    ("out", 1): b"\xee",
    ("out", 2): b"\x66\xef",
    ("out", 4): b"\xef",
}

Step = tuple[str, int, int, int]  # what; port, size, value


def word(value: int) -> bytes:
    return struct.pack("<I", value & 0xFFFFFFFF)


def steps(seed: int) -> list[Step]:
    """Mostly bytes to ports that declare something; sometimes a byte comes over the line, or the guest sleeps."""
    draw = random.Random(seed)
    made: list[Step] = []
    while len(made) < STEPS:
        kind = draw.random()
        if kind < 0.03:
            made.append(("out", FEEDER, 1, draw.randrange(256)))
        elif kind < 0.06:
            made.append(("sleep", 0, 0, 0))
        elif kind < 0.12:
            for port, values in draw.choice(PHRASES):
                made.append(("in", port, 1, 0) if values is None else ("out", port, 1, draw.choice(values)))
        else:
            window = draw.choice(BUSY)
            port, size = draw.choice(window), draw.choice((1, 1, 1, 1, 1, 1, 2, 4))
            value = draw.choice(VALUES) if draw.random() < 0.7 else draw.randrange(1 << 32)
            what = "out" if draw.random() < 0.7 else "in"
            ports = range(port, port + size)
            if what == "out" and any(other in (*ENDS_A_RUN, *CONTROLLERS) for other in ports):
                continue
            # a device that is written again and again in one state shows more than one that is written once
            made += [(what, port, size, value & (1 << 8 * size) - 1)] * draw.choice((1, 1, 1, 4))
    return made[:STEPS]


def handlers() -> bytes:
    """By vector, 64 bytes each: notes the step (EBX) and the vector, and ends the interrupt at both controllers."""
    made = b""
    for vector in range(VECTORS, VECTORS + 16):
        one = b"\x50\xa1" + word(TAKEN)  # push %eax; mov TAKEN, %eax
        one += b"\x89\x1c\xc5" + word(INTERRUPTS) + b"\xc6\x04\xc5" + word(INTERRUPTS + 4) + bytes([vector])
        one += b"\xff\x05" + word(TAKEN) + b"\xb0\x20" + (b"\xe6\xa0" if vector >= VECTORS + 8 else b"") + b"\xe6\x20"
        made += (one + b"\x58\xcf").ljust(64, b"\x90")
    return made


def code_of(history: list[Step], io: str) -> bytes:
    """EBX is the step. Each ends a block of the engine, where interrupts come."""
    made = bytearray()
    for number, (what, port, size, value) in enumerate(history):
        made += b"\xbb" + word(number)
        if what == "sleep":
            made += b"\x31\xc0\xe6\x21\xf4"  # xor %eax, %eax; out %al, $0x21: the PIT wakes it; hlt
            continue
        made += b"\xba" + word(port) + b"\xb8" + word(value if what == "out" else 0x5A5A5A5A)
        if io == "exit":
            made += RAW[what, size] + b"\xeb\x00"
        else:
            made += b"\xe8" + word(entry(what.upper() + NAMES[size]) - (CODE + len(made) + 5))
        if what == "in":
            made += b"\xa3" + word(READS + 4 * number)
    return bytes(made) + b"\xfa\xf4"


class Feeder:
    """What is written comes over the serial line."""

    name, span, stateless = "feeder", 1, True

    def __init__(self, line: MemoryBackend) -> None:
        self.line = line

    def read(self, offset: int, size: int) -> int:
        return 0xFF

    def write(self, offset: int, size: int, value: int) -> None:
        self.line.feed(bytes([value]))


@dataclass
class Shown:
    """What a history showed."""

    reads: list[tuple[Step, int]]
    interrupts: list[tuple[int, int]]
    serial: bytes
    devices: dict[str, Any]
    accesses: list[tuple[str, int, int, int]]
    now: int
    counts: dict[str, int]


def run(history: list[Step], io: str, folder: Path, *, watched: bool) -> Shown:
    disk = folder / "disk.img"
    disk.write_bytes(bytes(1 << 20))
    serial = MemoryBackend()
    accesses: list[tuple[str, int, int, int]] = []

    def note(access: PortAccess) -> None:
        assert access.count == 1
        accesses.append(("out" if access.direction else "in", access.port, access.size, access.value))

    with Machine(
        memory=4 << 20,
        engine="unicorn",
        io=io,
        clock=VirtualClock(),
        serial=serial,
        parallel=MemoryBackend(),
        disks=(DiskSpec(path=disk, snapshot=True),),
        net=(NetSpec(kind="none"),),
        testdev=True,
    ) as machine:
        machine.attach(Feeder(serial), FEEDER)
        for port, value in (*ICW, *PIT):
            machine.bus.outp(port, 1, value)
        memory = machine.memory
        memory.write(CODE, code_of(history, io))
        memory.write(HANDLERS, handlers())
        flat = 0x00CF_9300_0000_FFFF
        memory.write(GDT, struct.pack("<3Q", 0, flat | 0x0800 << 32, flat))
        for vector in range(16):
            at = HANDLERS + 64 * vector
            memory.write(IDT + 8 * (VECTORS + vector), struct.pack("<4H", at & 0xFFFF, 8, 0x8E00, at >> 16))
        state = protected_flat(eip=CODE)
        state.cs, state.ss = Segment(8, 0, 0xFFFFFFFF, CODE_32), Segment(16, 0, 0xFFFFFFFF, DATA_32)
        state.esp, state.idtr, state.gdtr, state.eflags = STACK, Table(IDT, 0x7FF), Table(GDT, 23), 0x202
        machine.engine.set_state(state)
        if watched:
            machine.bus.observe(note)
        assert isinstance(machine.run(timeout=30), HaltedForever)
        (taken,) = struct.unpack("<I", memory.read(TAKEN, 4))
        assert taken < MOST_TAKEN
        values = struct.unpack(f"<{len(history)}I", memory.read(READS, 4 * len(history)))
        counts = {} if machine.exitless is None else machine.exitless.counts()
        return Shown(
            [(step, value) for step, value in zip(history, values, strict=True) if step[0] == "in"],
            list(struct.iter_unpack("<2I", memory.read(INTERRUPTS, 8 * taken))),
            serial.output(),
            machine.save_devices(),
            accesses,
            machine.clock.now_ns(),
            counts,
        )


def without_shadowed(accesses: list[Any], other: list[Any]) -> bool:
    """Is other accesses, less some reads?"""
    rest = iter(accesses)
    for access in other:
        for mine in rest:
            if mine == access:
                break
            if mine[0] == "out":
                return False
        else:
            return False
    return all(access[0] == "in" for access in rest)


@pytest.mark.parametrize("watched", [True, False], ids=["watched", "unwatched"])
@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_guest_sees_the_same_without_crossings(seed: int, watched: bool, tmp_path: Path) -> None:
    history = steps(seed)
    crossing = run(history, "exit", tmp_path, watched=watched)
    exitless = run(history, "exitless", tmp_path, watched=watched)
    for number, (mine, other) in enumerate(zip(crossing.reads, exitless.reads, strict=True)):
        assert mine == other, number
    assert crossing.interrupts == exitless.interrupts
    assert crossing.serial == exitless.serial
    assert crossing.now == exitless.now
    assert without_shadowed(crossing.accesses, exitless.accesses)
    for name, record in crossing.devices.items():
        assert exitless.devices[name] == record, name
    assert exitless.counts["posted"] > 100
    assert exitless.counts["shadowed"] > 5
    assert exitless.counts["refused"] == 0
    assert len(crossing.interrupts) > 20
