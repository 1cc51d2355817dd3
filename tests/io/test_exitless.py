# SPDX-License-Identifier: GPL-2.0-or-later
"""Posted writes and shadow registers, and what comes between the instructions of the code that makes them.

The model is small and complete: a guest posts and reads by the ROM's stubs, and an interrupt, whose handler does the
same, comes at each instruction boundary; a second one comes at each boundary from there on. Time is the number of
executed instructions.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hyperport import GuestExit, HaltedForever, Machine, MemoryBackend
from hyperport.abi import numbers
from hyperport.abi.numbers import EXITLESS_BASE, Exitless
from hyperport.abi.rom import build_rom
from hyperport.bus.access import PortAccess
from hyperport.bus.port_bus import Path as AccessPath
from hyperport.cpu.state import CODE_32, DATA_32, CpuState, Segment, Table, protected_flat
from hyperport.errors import ConfigError
from hyperport.host.specs import DiskSpec
from hyperport.lines.attention import StopKind

from ..guest.board import BIN

MIB = 1 << 20
WIDE = 0x2B0
CODE, HANDLER, STACK, IDT, GDT, RESULTS = 0x10_0000, 0x10_2000, 0x20_0000, 0x30_0000, 0x30_1000, 0x31_0000
IRQ, VECTORS = 5, 0x20
POST, THR, IER, SCR = 0x80, 0x3F8, 0x3F9, 0x3FF
CF_OF = 0x801  # flags that a stub must not change
HLT = b"\xf4"
END = b"\x90" * 8 + b"\xfa" + HLT  # behind each program: room for an interrupt that comes at its last instruction; CLI
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
    times: Any = ()

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

    def __init__(self, engine: str = "unicorn", clock: str = "insns=1", *, watched: bool = True, **config: Any) -> None:
        self.machine = Machine(memory=4 * MIB, engine=engine, io="exitless", clock=clock, **config)
        self.log: list[tuple[int, int, str]] = []
        if watched:
            self.machine.bus.observe(self.note)
        self.interrupter = Interrupter()
        self.machine.attach(self.interrupter, 0x2A0, irq=IRQ)
        self.set_up_controller()
        gate = (HANDLER & 0xFFFF, 8, 0x8E00, HANDLER >> 16)
        self.machine.memory.write(IDT + 8 * (VECTORS + IRQ), struct.pack("<4H", *gate))
        flat = 0x00CF_9300_0000_FFFF
        self.machine.memory.write(GDT, struct.pack("<3Q", 0, flat | 0x0800 << 32, flat))

    def set_up_controller(self) -> None:
        """With automatic EOI."""
        for port, value in ((0x20, 0x11), (0x21, VECTORS), (0x21, 4), (0x21, 3), (0x21, 0xFF & ~(1 << IRQ))):
            self.machine.bus.outp(port, 1, value)

    def note(self, access: PortAccess) -> None:
        if access.direction:
            self.log.append((access.port, access.value, access.path.name))

    def run(
        self, code: bytes, times: list[int] | None = None, handler: bytes = b"\xcf", *, flags: bool = True
    ) -> CpuState:
        """Run code to its HLT; interrupts come after so many instructions."""
        self.log.clear()
        self.machine.memory.write(CODE, code + END)
        self.machine.memory.write(HANDLER, handler)
        state = protected_flat(eip=CODE)
        state.cs, state.ss = Segment(8, 0, 0xFFFFFFFF, CODE_32), Segment(16, 0, 0xFFFFFFFF, DATA_32)
        state.esp, state.eflags = STACK, 2 | CF_OF | IF
        state.idtr, state.gdtr = Table(IDT, 0x7FF), Table(GDT, 23)
        state.ebx, state.ecx, state.ebp, state.esi, state.edi = 0xB0, 0xC0, 0xBE, 0x51, 0xD1
        self.machine.engine.set_state(state)
        start = self.machine.clock.now_ns()
        self.interrupter.times = [start + time for time in times or []]
        self.interrupter.arm()
        assert isinstance(self.machine.run(timeout=20), HaltedForever)
        self.interrupter.timer.cancel()
        end = self.machine.engine.state()
        assert (end.esp, end.ebx, end.ecx, end.ebp, end.esi, end.edi) == (STACK, 0xB0, 0xC0, 0xBE, 0x51, 0xD1)
        assert not flags or end.eflags & CF_OF == CF_OF
        return end

    def interrupted(self, code: bytes, times: list[int], served: bytes) -> int:
        """run() with a handler that counts itself at RESULTS: how often it ran."""
        self.machine.memory.write(RESULTS, bytes(4))
        self.set_up_controller()  # ICW1 forgets a request that came too late
        self.run(code, times, served)
        return int(struct.unpack("<I", self.machine.memory.read(RESULTS, 4))[0])

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


def test_a_posted_write_is_told_with_its_caller() -> None:
    """EIP behind each of 40 calls."""
    places: list[tuple[int, int, int]] = []

    def note(access: PortAccess) -> None:
        if access.path == AccessPath.POSTED:
            assert access.place is not None
            places.append((access.place.cs, access.place.eip, access.value))

    with Bench() as bench:
        bench.open()
        bench.machine.bus.observe(note, places=True)
        code, behind = Assembler(CODE), []
        for value in range(40):
            code.call("OUTB", POST, value % 3)
            behind.append((8, CODE + len(code.code), value % 3))
        bench.run(code.code)
    assert places == behind


def test_a_shadowed_register_reads_what_its_device_would_say(bench: Bench) -> None:
    code = Assembler(CODE).call("INB", SCR, 0xAABBCC00).store(RESULTS)
    code.call("OUTB", SCR, 0x5A).call("INB", SCR, 0xAABBCC00).store(RESULTS + 4)
    bench.run(code.code)
    assert struct.unpack("<2I", bench.machine.memory.read(RESULTS, 8)) == (0xAABBCC00, 0xAABBCC5A)
    assert bench.counts()["shadowed"] == 2
    row = next(row for row in bench.machine.bus.counts() if row.path == AccessPath.SHADOW)
    assert (row.port, row.size, row.accesses, row.crossings) == (SCR, 1, 2, 0)


def test_an_ata_command_block_is_one_crossing(tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    image.write_bytes(bytes(512) + b"\x5a" * 512 + bytes(1 << 16))
    with Bench(disks=(DiskSpec(path=image, read_only=True),)) as bench:
        bench.open()
        code = Assembler(CODE)
        for port, value in ((0x1F1, 0), (0x1F2, 1), (0x1F3, 1), (0x1F4, 0), (0x1F5, 0), (0x1F6, 0xE0), (0x1F7, 0x20)):
            code.call("OUTB", port, value)
        bench.run(code.call("INW", 0x1F0).store(RESULTS).code)
        assert [path for _, _, path in bench.log] == ["POSTED"] * 6 + ["HYPERCALL"]
        assert bench.machine.memory.read(RESULTS, 2) == b"\x5a\x5a"


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
    assert bench.machine.memory.read(left, 4) == struct.pack("<I", numbers.EXITLESS_ENTRIES)
    bench.run(b"\xb9\x00\x00\x20\x00\xe2\xfe\xb9\xc0\x00\x00\x00")  # mov $0x200000, %ecx; loop .; mov $0xC0, %ecx
    assert bench.machine.memory.read(left, 4) == bytes(4)


def within(log: list[int], outer: list[int], inner: list[int]) -> bool:
    """Is log what outer does, with all that inner does at one place?"""
    return any(log == [*outer[:cut], *inner, *outer[cut:]] for cut in range(len(outer) + 1))


def handler(steps: int) -> bytes:
    """Counts itself at RESULTS, allows interrupts, and posts so often: 0x40, 0x60 and so on, more by its number."""
    made = Assembler(HANDLER).add(b"\x50\x52\x53\xff\x05", struct.pack("<I", RESULTS))  # push eax, edx, ebx; inc
    made.add(b"\x8b\x1d", struct.pack("<I", RESULTS), b"\xfb")  # mov RESULTS, %ebx; sti
    for step in range(steps):
        made.add(b"\x8d\x83", struct.pack("<I", 0x40 + 0x20 * step), b"\xba", struct.pack("<I", POST))  # lea, mov
        made.add(b"\xe8", struct.pack("<I", entry("OUTB") - (made.at + len(made.code) + 5) & 0xFFFFFFFF))
    return made.add(b"\x5b\x5a\x58\xcf").code


def posts(values: list[int]) -> bytes:
    code = Assembler(CODE)
    for value in values:
        code.call("OUTB", POST, value)
    return code.code


def instructions_of(bench: Bench, code: bytes, times: list[int] | None = None, served: bytes = b"\xcf") -> int:
    before = bench.machine.clock.now_ns()
    bench.run(code, times, served)
    return int(bench.machine.clock.now_ns() - before)


def test_an_interrupt_at_every_instruction(bench: Bench) -> None:
    bench.open()
    main, steps = [1, 2, 3], [0x41, 0x61]
    length = instructions_of(bench, posts(main)) - len(END)
    for first in range(1, length):
        taken = bench.interrupted(posts(main), [first], handler(2))
        values = [value for _, value, _ in bench.log]
        assert taken == 1, first
        assert within(values, main, steps), (first, bench.log)
    assert bench.counts()["restarted"] > 30
    assert bench.counts()["refused"] == 0


def test_an_interrupt_at_every_instruction_and_one_at_every_instruction_of_its_handler(bench: Bench) -> None:
    bench.open()
    main = [1]
    alone = instructions_of(bench, posts(main)) - len(END)
    both = instructions_of(bench, posts(main), [1], handler(1)) - len(END)
    nested = 0
    for first in range(1, alone):
        for second in range(first + 1, both + 8):
            taken = bench.interrupted(posts(main), [first, second], handler(1))
            values = [value for _, value, _ in bench.log]
            assert taken >= 1
            if taken == 2:
                nested += 1
                assert values.count(0x42) == 1, (first, second, bench.log)
                values.remove(0x42)
            assert within(values, main, [0x41]), (first, second, bench.log)
    assert nested > 1000
    assert bench.counts()["refused"] == 0


class Times:
    """The device of guest/programs/interrupted.c: gives pairs of times, and raises its line at both."""

    name, span, widths, stateless = "times", 8, (1, 4), True
    irq: Any
    timer: Any
    clock: Any

    def __init__(self, pairs: list[tuple[int, int]], log: list[int]) -> None:
        self.pairs, self.log, self.waits = iter(pairs), log, list[int]()
        self.done: list[tuple[tuple[int, int], int, list[int]]] = []
        self.pair = (0, 0)

    def read(self, offset: int, size: int) -> int:
        self.pair = next(self.pairs, (0, 0))
        return self.pair[0] | self.pair[1] << 16

    def write(self, offset: int, size: int, value: int) -> None:
        if offset:
            self.done.append((self.pair, value, self.log.copy()))
        else:
            now = self.clock.now_ns()
            self.waits = [now + time for time in self.pair if time]
            self.timer.arm_at(self.waits.pop(0))
        self.log.clear()

    def on_timer(self, number: int) -> None:
        self.irq.pulse()
        if self.waits:
            self.timer.arm_at(self.waits.pop(0))


class Wide:
    """All widths, posted at offset 0 and shadowed at offset 4. on_write: is told of offset, size, value."""

    name, span, widths, stateless = "wide", 8, (1, 2, 4), True
    declares = True

    def __init__(self, on_write: Callable[[int, int, int], object] = lambda *_: None) -> None:
        self.write = on_write

    def read(self, offset: int, size: int) -> int:
        return 0x5A5A5A5A >> 32 - 8 * size

    def attributes(self, offset: int) -> int:
        return {0: 0o7, 4: 0o70}.get(offset, 0) if self.declares else 0


@pytest.mark.parametrize(
    ("append", "length"),
    [
        *(("ops=vmi", 90), ("ops=kvm", 90), ("ops=kvm calls", 150), ("ops=lguest calls", 150)),
        *((f"ops=vmi {way}", 100) for way in ("dx", "words", "longs", "longs_dx")),
    ],
)
def test_the_sdk_interrupted_at_every_instruction(append: str, length: int) -> None:
    """In place, and by the SDK's entries: with one interrupt, then with another one at each instruction behind it."""
    pairs = [(first, 0) for first in range(1, length)]
    pairs += [(first, second) for first in range(1, length, 2) for second in range(first + 1, first + 70)]
    posts: list[int] = []
    wide: set[int] = set()

    def note(access: PortAccess) -> None:
        if access.direction and access.port in (POST, WIDE):
            posts.extend(access.data[:: access.size])

    kernel = BIN / "interrupted.elf"
    config: dict[str, Any] = {"io": "exitless", "clock": "insns=1", "abi": ("vmi", "kvm", "lguest")}
    with Machine(kernel=kernel, append=append, memory=8 * MIB, engine="unicorn", **config) as machine:
        times = Times(pairs, posts)
        machine.attach(times, 0x2A0, irq=IRQ)
        machine.attach(Wide(lambda offset, size, value: wide.add(value >> 8)), WIDE)
        machine.bus.observe(note)
        assert machine.run(timeout=120) == GuestExit(0)
        assert machine.exitless is not None
        counts = machine.exitless.counts()
    assert len(times.done) == len(pairs)
    for pair, served, values in times.done:
        assert served == 1 + (pair[1] > 0), pair
        if served == 2:
            assert values.count(0x42) == 1, (pair, values)
            values.remove(0x42)
        assert within(values, [1, 2], [0x41]), (pair, values)
    assert wide <= {0xA5, 0xA5A5A5}
    assert counts["restarted"] > 50
    assert counts["refused"] == 0
    assert counts["shadowed"] > len(pairs) // 2


def test_a_handler_that_changes_what_is_declared(bench: Bench) -> None:
    """It enables the interrupt of an empty transmitter, and from then on THR may not be posted."""
    bench.open()
    made = Assembler(HANDLER).add(b"\x50\x52\xff\x05", struct.pack("<I", RESULTS))
    served = made.call("OUTB", IER, 2).add(b"\x5a\x58\xcf").code
    code = Assembler(CODE).call("OUTB", THR, 0x41).call("OUTB", THR, 0x42).code
    length = instructions_of(bench, code) - len(END)
    paths = set()
    for first in range(1, length):
        assert bench.interrupted(code, [first], served) == 1
        assert [value for port, value, _ in bench.log if port == THR] == [0x41, 0x42]
        after = bench.log[bench.log.index((IER, 2, "HYPERCALL")) :]
        assert all(path != "POSTED" for _, _, path in after), (first, bench.log)
        paths |= {path for port, _, path in bench.log if port == THR}
        bench.machine.bus.outp(IER, 1, 0)
    assert paths == {"POSTED", "HYPERCALL"}
    assert bench.counts()["refused"] == 0


def test_a_read_is_of_before_or_of_after_an_interrupt(bench: Bench) -> None:
    made = Assembler(HANDLER).add(b"\x50\x52\xff\x05", struct.pack("<I", RESULTS))
    served = made.call("OUTB", SCR, 0x5A).add(b"\x5a\x58\xcf").code
    code = Assembler(CODE)
    for place in range(3):
        code.call("INB", SCR, 0xAABBCC00).store(RESULTS + 4 + 4 * place)
    length = instructions_of(bench, code.code) - len(END)
    seen = set()
    for first in range(1, length):
        bench.machine.bus.outp(SCR, 1, 0x11)
        assert bench.interrupted(code.code, [first], served) == 1
        read = struct.unpack("<3I", bench.machine.memory.read(RESULTS + 4, 12))
        assert list(read) == sorted(read), first  # 0x11, and from some moment on 0x5A
        assert set(read) <= {0xAABBCC11, 0xAABBCC5A}
        seen.add(read)
    assert len(seen) == 4


def test_a_single_step_through_a_stub_makes_progress(bench: Bench) -> None:
    """Each trap goes to the restart, which is the way by the doorbell."""
    bench.open()
    gate = (HANDLER & 0xFFFF, 8, 0x8E00, HANDLER >> 16)
    bench.machine.memory.write(IDT + 8, struct.pack("<4H", *gate))
    stepped = b"\x9c\x80\x4c\x24\x01\x01\x9d"  # pushf; orb $1, 1(%esp); popf
    end = b"\x9c\x80\x64\x24\x01\xfe\x9d"
    code = Assembler(CODE).add(stepped).call("OUTB", POST, 1).call("OUTB", POST, 2).add(end)
    bench.run(code.code + b"\x31\xc0\x83\xe8\x01\xd1\xe0\xb8\x00\x00\x00\x80\x01\xc0\xf9", [], b"\xcf", flags=False)
    assert bench.log == [(POST, 1, "HYPERCALL"), (POST, 2, "HYPERCALL")]


def test_an_io_breakpoint_hits_every_access(bench: Bench) -> None:
    """While one is enabled by DR7 and CR4.DE nothing is posted and nothing is shadowed; each other state is tried."""
    bench.open()
    gate = (HANDLER & 0xFFFF, 8, 0x8E00, HANDLER >> 16)
    bench.machine.memory.write(IDT + 8, struct.pack("<4H", *gate))
    counted = b"\xff\x05" + struct.pack("<I", RESULTS) + b"\xcf"  # incl RESULTS; iret
    io_breakpoint, execution = 2 | 2 << 16, 2  # G0; R/W0 is 2 for I/O, 0 for execution

    def control(dr7: int, cr4: int) -> bytes:  # mov eax to dr0, dr7 and cr4
        moves = ((POST, b"\x0f\x23\xc0"), (dr7, b"\x0f\x23\xf8"), (cr4, b"\x0f\x22\xe0"))
        return b"".join(b"\xb8" + struct.pack("<I", value) + code for value, code in moves)

    code = Assembler(CODE)
    states = [(io_breakpoint, 0), (io_breakpoint, 8), (0, 8), (execution, 8), (io_breakpoint, 8), (io_breakpoint, 0)]
    for number, (dr7, cr4) in enumerate([*states, (0, 0)]):
        code.add(control(dr7, cr4)).call("OUTB", POST, number).call("INB", SCR)
    bench.machine.memory.write(RESULTS, bytes(4))
    before = bench.counts()["shadowed"]
    bench.run(code.code, handler=counted, flags=False)
    assert bench.machine.memory.read(RESULTS, 1) == b"\2"
    assert [(value, path) for port, value, path in bench.log if port == POST] == [
        (number, "HYPERCALL" if number in (1, 4) else "POSTED") for number in range(7)
    ]
    assert bench.counts()["shadowed"] - before == 5


def test_a_page_that_the_guest_has_spoilt(bench: Bench) -> None:
    bench.open()
    memory = bench.machine.memory
    memory.write(EXITLESS_BASE + Exitless.LEFT, struct.pack("<I", numbers.EXITLESS_ENTRIES - 4))
    entries = [(0xF4, 1, 1), (POST, 0x99, 1), (POST, 0x98, 3), (POST, 0x97, 1)]
    for number, (port, value, size) in enumerate(entries, 1):
        at = EXITLESS_BASE + Exitless.RING + 8 * (numbers.EXITLESS_ENTRIES - number)
        memory.write(at, struct.pack("<HBBI", port, size, 0xA5, value))
    bench.run(b"")
    assert bench.log == [(POST, 0x99, "POSTED"), (POST, 0x97, "POSTED")]  # port F4h, which ends a run, is not declared
    for left in (numbers.EXITLESS_ENTRIES + 1, 0x100, 0xFFFFFFFF):
        memory.write(EXITLESS_BASE + Exitless.LEFT, struct.pack("<I", left))
        bench.run(b"")
        assert bench.log == []


def test_a_machine_that_starts_again_has_its_tables(bench: Bench) -> None:
    bench.open()
    machine = bench.machine
    tables = machine.memory.read(EXITLESS_BASE, Exitless.PAGE)
    machine.memory.write(EXITLESS_BASE + Exitless.SITE_COUNT, struct.pack("<I", 3))
    machine.memory.write(EXITLESS_BASE, bytes(Exitless.END))
    assert machine.exitless is not None
    machine.exitless.reset()
    assert machine.memory.read(EXITLESS_BASE, Exitless.PAGE) == tables
    assert machine.memory.read(EXITLESS_BASE + Exitless.SITE_COUNT, 4) == bytes(4)
    bench.run(Assembler(CODE).call("OUTB", POST, 1).call("OUTB", POST, 2).code)
    assert bench.log == [(POST, 1, "HYPERCALL"), (POST, 2, "POSTED")]


def test_a_guest_that_resets_and_posts_again() -> None:
    posted = []
    with Machine(kernel=BIN / "delay.elf", append="ops=vmi n=500", memory=8 * MIB, io="exitless") as machine:
        for _ in range(2):
            assert machine.run(timeout=60) == GuestExit(0)
            assert machine.exitless is not None
            posted.append(machine.exitless.counts()["posted"])
            machine.reset()
    assert posted[0] > 400
    assert posted[1] > posted[0] + 400


@pytest.mark.parametrize("kind", ["", "-inline"])
def test_a_machine_that_is_saved_between_two_posts_goes_on(kind: str, tmp_path: Path) -> None:
    """It is held at any instruction, so also inside a sequence; what was written is written once, and in order."""
    file, console, units = tmp_path / "machine.state", MemoryBackend(), 3000
    kernel = BIN / f"console{kind}.elf"
    config: dict[str, Any] = {"append": f"ops=vmi n={units} tsc_khz=1000000", "memory": 8 * MIB, "io": "exitless"}
    with Machine(kernel=kernel, engine="unicorn", clock="insns=1", serial=console, **config) as machine:
        stopper = Interrupter()
        machine.attach(stopper, 0x2A0)
        stopper.irq = SimpleNamespace(pulse=lambda: machine.request_stop(StopKind.TIMEOUT))
        said = b""
        for moment in range(60_001, 60_080):
            stopper.timer.arm_at(moment)
            machine.run(timeout=60)
            machine.save(file)
        machine.flush_output()
        said = console.output()
    rest = MemoryBackend()
    with Machine.restore(file, serial=rest, attach=lambda other: other.attach(Interrupter(), 0x2A0)) as machine:
        assert machine.run(timeout=60) == GuestExit(0)
        assert machine.exitless is not None
        assert machine.exitless.counts()["refused"] == 0
        assert machine.exitless.counts()["posted"] > 500
    text = (said + rest.output()).decode().replace("\r\n", "").partition("workload")[0]
    assert text == "".join(chr(ord("!") + column % 94) for column in range(units))


def test_the_rest_of_the_machine_is_as_on_hypercall() -> None:
    with Machine(io="hypercall") as machine:
        assert machine.exitless is None
        assert not any("exitless" in region.name for region in machine.memory.map.regions())
    with pytest.raises(ConfigError, match="has no path exitless"):
        Machine(io="exitless", engine="scripted")
