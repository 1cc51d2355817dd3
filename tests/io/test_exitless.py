# SPDX-License-Identifier: GPL-2.0-or-later
"""Posted writes and shadow registers, and what comes between the instructions of the code that makes them.

The model is small and complete: a guest posts and reads by the ROM's stubs, and an interrupt, whose handler does the same, comes at
each instruction boundary; a second one comes at each boundary from there on. Time is the number of executed instructions.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from hyperport import GuestExit, HaltedForever, Machine, MemoryBackend
from hyperport.abi import numbers
from hyperport.abi.numbers import EXITLESS_BASE, Exitless
from hyperport.abi.rom import build_rom
from hyperport.bus.access import PortAccess
from hyperport.bus.port_bus import Path
from hyperport.cpu.state import CODE_32, DATA_32, CpuState, Segment, Table, protected_flat
from hyperport.errors import ConfigError
from hyperport.lines.attention import StopKind

MIB = 1 << 20
CODE, HANDLER, STACK, IDT, GDT, RESULTS = 0x10_0000, 0x10_2000, 0x20_0000, 0x30_0000, 0x30_1000, 0x31_0000
IRQ, VECTORS = 5, 0x20
POST, THR, IER, SCR = 0x80, 0x3F8, 0x3F9, 0x3FF
CF_OF_DF = 0x801  # flags that a stub must not change
HLT = b"\xf4"
ROM = build_rom(exitless=True)
IF = 1 << 9


def entry(name: str) -> int:
    """Linear address of a call's code, as get_reloc tells it, with no paging."""
    (table,) = struct.unpack_from("<H", ROM.data, 144)
    (at,) = struct.unpack_from("<H", ROM.data, table + 4 * numbers.VMI_BY_NAME[name].number)
    return ROM.base + int(at)


class Assembler:
    """Code of calls, at an address."""

    def __init__(self, at: int) -> None:
        self.at, self.code = at, b""

    def add(self, *parts: bytes) -> Assembler:
        self.code += b"".join(parts)
        return self

    def call(self, name: str, port: int, value: int = 0) -> Assembler:
        self.add(b"\xb8", struct.pack("<I", value), b"\xba", struct.pack("<I", port))
        return self.add(b"\xe8", struct.pack("<I", entry(name) - (self.at + len(self.code) + 5) & 0xFFFFFFFF))

    def store(self, at: int) -> Assembler:
        return self.add(b"\xa3", struct.pack("<I", at))  # mov %eax, at


class Interrupter:
    """A device that raises its line at two times."""

    name, span = "interrupter", 1
    stateless = True
    irq: Any
    timer: Any
    times: list[int]

    def read(self, offset: int, size: int) -> int:
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        pass

    def on_timer(self, number: int) -> None:
        self.irq.pulse()
        self.arm()

    def arm(self) -> None:
        if self.times:
            self.timer.arm_at(self.times.pop(0))


class Bench:
    """A machine whose guest makes calls, and the log of what the devices saw."""

    def __init__(self, engine: str = "unicorn", clock: str = "insns=1", **config: Any) -> None:
        self.machine = Machine(memory=4 * MIB, engine=engine, io="exitless", clock=clock, **config)
        self.log: list[tuple[int, int, str]] = []
        self.machine.bus.observe(self.note)
        self.interrupter = Interrupter()
        self.machine.attach(self.interrupter, 0x2A0, irq=IRQ)
        bus = self.machine.bus
        for port, value in ((0x20, 0x11), (0x21, VECTORS), (0x21, 4), (0x21, 3), (0x21, 0xFF & ~(1 << IRQ))):  # automatic EOI
            bus.outp(port, 1, value)
        gate = (HANDLER & 0xFFFF, 8, 0x8E00, HANDLER >> 16)
        self.machine.memory.write(IDT + 8 * (VECTORS + IRQ), struct.pack("<4H", *gate))
        flat = 0x00CF_9300_0000_FFFF
        self.machine.memory.write(GDT, struct.pack("<3Q", 0, flat | 0x0800 << 32, flat))

    def note(self, access: PortAccess) -> None:
        if access.direction:
            self.log.append((access.port, access.value, access.path.name))

    def run(self, code: bytes, times: list[int] | None = None, handler: bytes = b"\xcf") -> CpuState:
        """Run code to its HLT; interrupts come after so many instructions."""
        self.log.clear()
        self.machine.memory.write(CODE, code + b"\xfa" + HLT)
        self.machine.memory.write(HANDLER, handler)
        state = protected_flat(eip=CODE)
        state.cs, state.ss = Segment(8, 0, 0xFFFFFFFF, CODE_32), Segment(16, 0, 0xFFFFFFFF, DATA_32)
        state.esp, state.eflags = STACK, 2 | CF_OF_DF | IF
        state.idtr, state.gdtr = Table(IDT, 0x7FF), Table(GDT, 23)
        state.ebx, state.ecx, state.ebp, state.esi, state.edi = 0xB0, 0xC0, 0xBE, 0x51, 0xD1
        self.machine.engine.set_state(state)
        start = self.machine.clock.now_ns()
        self.interrupter.times = [start + time for time in times or []]
        self.interrupter.arm()
        assert isinstance(self.machine.run(timeout=20), HaltedForever)
        end = self.machine.engine.state()
        assert (end.esp, end.ebx, end.ecx, end.ebp, end.esi, end.edi) == (STACK, 0xB0, 0xC0, 0xBE, 0x51, 0xD1)
        assert end.eflags & CF_OF_DF == CF_OF_DF
        return end

    def open(self) -> None:
        """Let the ring be open, by a call that could have been posted."""
        self.run(Assembler(CODE).call("OUTB", POST, 0).code)

    def counts(self) -> dict[str, int]:
        assert self.machine.exitless is not None
        return self.machine.exitless.counts()

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *exception: object) -> None:
        self.machine.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    with Bench() as made:
        yield made


def test_a_write_is_posted_and_comes_before_what_is_not(bench: Bench) -> None:
    code = Assembler(CODE)
    for value in range(5):
        code.call("OUTB", POST, value)
    code.call("OUTB", SCR, 0x77).call("OUTB", POST, 9)
    bench.run(code.code)
    assert bench.log == [
        (POST, 0, "HYPERCALL"),  # by this one the ring is opened
        *((POST, value, "POSTED") for value in range(1, 5)),
        (SCR, 0x77, "HYPERCALL"),
        (POST, 9, "POSTED"),
    ]
    assert bench.counts() == {"posted": 5, "drained": 2, "shadowed": 0, "refused": 0, "restarted": 0}


def test_a_shadowed_register_reads_what_its_device_would_say(bench: Bench) -> None:
    code = Assembler(CODE).call("INB", SCR, 0xAABBCC00).store(RESULTS)
    code.call("OUTB", SCR, 0x5A).call("INB", SCR, 0xAABBCC00).store(RESULTS + 4)
    bench.run(code.code)
    assert struct.unpack("<2I", bench.machine.memory.read(RESULTS, 8)) == (0xAABBCC00, 0xAABBCC5A)
    assert bench.counts()["shadowed"] == 2
    row = next(row for row in bench.machine.bus.counts() if row.path == Path.SHADOW)
    assert (row.port, row.size, row.accesses, row.crossings) == (SCR, 1, 2, 0)


def test_the_ring_takes_so_many_and_the_next_write_is_a_call(bench: Bench) -> None:
    count = numbers.EXITLESS_ENTRIES + 2
    bench.open()
    code = Assembler(CODE)
    for value in range(count):
        code.call("OUTB", POST, value & 0xFF)
    bench.run(code.code)
    assert [value for _, value, _ in bench.log] == [value & 0xFF for value in range(count)]
    assert [path for _, _, path in bench.log].count("HYPERCALL") == 1
    assert bench.log[numbers.EXITLESS_ENTRIES][2] == "HYPERCALL"


def test_a_ring_that_nobody_uses_is_closed_again(bench: Bench) -> None:
    bench.open()
    left = EXITLESS_BASE + Exitless.LEFT
    assert bench.machine.memory.read(left, 4) == struct.pack("<I", 2 * numbers.EXITLESS_ENTRIES)
    bench.run(b"\xb9\x00\x00\x20\x00\xe2\xfe\xb9\xc0\x00\x00\x00")  # mov $0x200000, %ecx; loop .; mov $0xC0, %ecx
    assert bench.machine.memory.read(left, 4) == bytes(4)


def merged(log: list[int], *sequences: list[int]) -> bool:
    """Is log the first sequence, with the next one somewhere in it, and so on?"""
    if len(sequences) == 1:
        return log == sequences[0]
    outer, inner = sequences[0], list(sequences[1:])
    for cut in range(len(outer) + 1):
        middle = log[cut : len(log) - (len(outer) - cut)]
        if log[:cut] == outer[:cut] and log[len(log) - (len(outer) - cut) :] == outer[cut:] and merged(middle, *inner):
            return True
    return False


HANDLER_CODE = (  # posts what it counts up, twice, with interrupts on; flags and registers come back
    b"\x50\x52\xff\x05" + struct.pack("<I", RESULTS) + b"\xfb"  # push eax, edx; inc RESULTS; sti
)


def handler() -> bytes:
    made = Assembler(HANDLER).add(HANDLER_CODE)
    for step in (0, 1):
        made.add(b"\xa1", struct.pack("<I", RESULTS), b"\x8d\x80", struct.pack("<I", 0x40 + 0x20 * step))  # mov, lea
        made.add(b"\xba", struct.pack("<I", POST))
        made.add(b"\xe8", struct.pack("<I", entry("OUTB") - (made.at + len(made.code) + 5) & 0xFFFFFFFF))
    return made.add(b"\x5a\x58\xcf").code


MAIN = [1, 2, 3]


def main_code() -> bytes:
    code = Assembler(CODE)
    for value in MAIN:
        code.call("OUTB", POST, value)
    return code.code


def instructions_of(bench: Bench, code: bytes) -> int:
    before = bench.machine.clock.now_ns()
    bench.run(code)
    return int(bench.machine.clock.now_ns() - before)


@pytest.mark.parametrize("stride", [1, 7])
def test_an_interrupt_at_every_instruction_and_one_in_its_handler(bench: Bench, stride: int) -> None:
    bench.open()
    length = instructions_of(bench, main_code())
    assert length > 60
    served = handler()
    restarted, pairs = bench.counts()["restarted"], 0
    seconds = [None] if stride == 1 else range(1, length + 80, 1)
    for first in range(1, length, stride):
        for second in seconds:
            bench.machine.memory.write(RESULTS, bytes(4))
            bench.run(main_code(), [first] if second is None else [first, first + second], served)
            taken = struct.unpack("<I", bench.machine.memory.read(RESULTS, 4))[0]
            assert all(port == POST for port, _, _ in bench.log)
            values = [value for _, value, _ in bench.log]
            inner = {
                n: [[0x40 + n, 0x60 + n]] for n in (1, 2)
            }
            assert taken in (1, 2)
            if taken == 1:
                assert merged(values, MAIN, inner[1][0]), (first, second, values)
            else:  # the second one inside the first: its number is in what the first one posts from there on
                assert [value for value in values if value < 0x40] == MAIN, (first, second, values)
                assert sorted(value & 0x0F for value in values if value >= 0x40) in ([1, 1, 2, 2], [1, 2, 2, 2], [2, 2, 2, 2]), (
                    first, second, values)
                assert len(values) == len(MAIN) + 4
            pairs += 1
    assert bench.counts()["restarted"] > restarted
    assert bench.counts()["refused"] == 0
