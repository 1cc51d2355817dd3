# SPDX-License-Identifier: GPL-2.0-or-later
"""What can come between the instructions of code that posts, besides interrupts: faults, traps, and what devices do.

Each is tried at every place where it can come, with a handler that posts as well: nothing is lost, nothing comes twice,
and all comes in the guest's order.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from hyperport import HaltedForever, Machine, MemoryBackend, Timeout
from hyperport.abi.numbers import EXITLESS_BASE, Exitless
from hyperport.bus.access import PortAccess
from hyperport.cpu.state import CpuState, protected_flat
from hyperport.errors import ThreadError
from hyperport.lines.attention import StopKind

from .test_exitless import (
    CODE,
    END,
    IDT,
    IRQ,
    POST,
    RESULTS,
    SCR,
    STACK,
    Assembler,
    Bench,
    Interrupter,
    entry,
    instructions_of,
    posts,
)

DIRECTORY, TABLE, TRAP_HANDLER, SITE = 0x32_0000, 0x32_1000, 0x10_2800, 0x15_1000
TRAPS, TAKEN_AT, TAKEN_FOR = RESULTS, RESULTS + 0x100, RESULTS + 0x104
PAGE: Final = 4096
PRESENT, WRITABLE, USER = 1, 2, 4
VECTOR_DB, VECTOR_PF = 1, 14
BY_TRAPS: Final = 0x40  # values above are a handler's
DEVICE: Final = 0x2B0
EMPTIES: Final = b"\xb0\x80\x00\xc0"  # mov $0x80, %al; add %al, %al: CF and OF, which a stub must not change


def word(value: int) -> bytes:
    return struct.pack("<I", value & 0xFFFFFFFF)


PAGING: Final = b"".join(  # mov $DIRECTORY, %eax; mov %eax, %cr3; mov %cr0, %eax; or PG and WP; mov %eax, %cr0
    (b"\xb8", word(DIRECTORY), b"\x0f\x22\xd8\x0f\x20\xc0\x0d", word(0x8001_0000), b"\x0f\x22\xc0", EMPTIES)
)
BEGIN: Final = CODE + len(PAGING)


class PagedBench(Bench):
    """With paging: 4 MiB are mapped to themselves. Code begins at BEGIN."""

    def __init__(self) -> None:
        super().__init__()
        self.map()

    def map(self, page: int | None = None, bits: int = 0) -> None:
        """All of it, but one page with these bits of its entry."""
        entries = [number << 12 | USER | WRITABLE | PRESENT for number in range(1024)]
        if page is not None:
            entries[page // PAGE] = page | bits
        self.machine.memory.write(DIRECTORY, word(TABLE | USER | WRITABLE | PRESENT))
        self.machine.memory.write(TABLE, struct.pack("<1024I", *entries))

    def run(
        self, code: bytes, times: list[int] | None = None, handler: bytes = b"\xcf", *, flags: bool = True
    ) -> CpuState:
        self.machine.memory.write(RESULTS, bytes(0x200))
        return super().run(PAGING + code, times, handler, flags=flags)

    def open(self) -> None:
        self.run(Assembler(BEGIN).call("OUTB", POST).code)

    def gate(self, vector: int, handler: bytes) -> None:
        self.machine.memory.write(TRAP_HANDLER, handler)
        gate = (TRAP_HANDLER & 0xFFFF, 8, 0x8E00, TRAP_HANDLER >> 16)
        self.machine.memory.write(IDT + 8 * vector, struct.pack("<4H", *gate))

    def word(self, at: int) -> int:
        return int(struct.unpack("<I", self.machine.memory.read(at, 4))[0])

    def in_order(self, main: list[int]) -> bool:
        """Did main come, and what each trap posted, each in its order?"""
        values = [value for port, value, _ in self.log if port == POST]
        traps = [value for value in values if value > BY_TRAPS]
        assert [value for value in values if value < BY_TRAPS] == main, self.log
        return traps == [BY_TRAPS + 1 + number for number in range(self.word(TRAPS))]


def trap_handler(before: bytes = b"", after: bytes = b"", *, pops: int = 0) -> bytes:
    """Counts itself, and posts BY_TRAPS and its number, between these. EIP is at 8(%esp), at 12 with an error code."""
    made = Assembler(TRAP_HANDLER).add(b"\x50\x52\xff\x05", word(TRAPS), before)  # push eax, edx; inc
    made.add(b"\xa1", word(TRAPS), b"\x8d\x40", bytes([BY_TRAPS]), b"\xba", word(POST))  # mov; lea; mov
    made.add(b"\xe8", word(entry("OUTB") - (made.at + len(made.code) + 5)), after)
    return made.add(b"\x5a\x58", b"\x8d\x64\x24\x04" if pops else b"", b"\xcf").code  # pop; lea 4(%esp), %esp; iret


def mending(page: int) -> bytes:
    """Of a page fault's handler: notes where and for what, and maps the page."""
    entry_at = TABLE + page // PAGE * 4
    return b"".join(
        (
            *(b"\x8b\x44\x24\x0c\xa3", word(TAKEN_AT), b"\x0f\x20\xd0\xa3", word(TAKEN_FOR)),  # EIP; CR2
            *(b"\xc7\x05", word(entry_at), word(page | USER | WRITABLE | PRESENT), b"\x0f\x01\x3d", word(page)),
        )
    )


@pytest.fixture
def paged() -> Any:
    with PagedBench() as made:
        made.open()
        yield made


PLACES: Final = {
    "directory": Exitless.DIRECTORY,
    "posted": Exitless.POSTED,
    "shadowed": Exitless.SHADOWED,
    "left": Exitless.LEFT,
    "ring": Exitless.RING,
}


@pytest.mark.parametrize("bits", [WRITABLE, PRESENT], ids=["absent", "read-only"])
@pytest.mark.parametrize("place", PLACES)
def test_a_page_fault_inside_a_stub(paged: PagedBench, place: str, bits: int) -> None:
    """The access is made by the doorbell then, and what the handler posts comes before it."""
    page = EXITLESS_BASE + PLACES[place] & -PAGE
    paged.machine.bus.outp(SCR, 1, 0x5A)
    paged.gate(VECTOR_PF, trap_handler(mending(page), pops=1))
    paged.map(page, bits | USER)
    code = Assembler(BEGIN)
    for value in (1, 2, 3):
        code.call("OUTB", POST, value)
    paged.run(code.call("INB", SCR, 0xAABBCC00).store(RESULTS + 0x110).add(EMPTIES).code)
    assert paged.in_order([1, 2, 3])
    assert paged.word(RESULTS + 0x110) == 0xAABBCC5A
    written = place in ("left", "ring")
    assert paged.word(TRAPS) == (bits == WRITABLE or written)
    if paged.word(TRAPS):
        assert paged.word(TAKEN_FOR) & -PAGE == page
        first = [(value, path) for _, value, path in paged.log[:2]]
        if written or place == "directory":
            assert first == [(BY_TRAPS + 1, "POSTED"), (1, "HYPERCALL")]


def test_a_guests_own_sequence_that_goes_on_in_an_absent_page(paged: PagedBench) -> None:
    """It is cut at each of its bytes: the fetch that faults is inside it, and where it stands no memory is."""
    for cut in range(1, 45):
        paged.map()
        paged.open()
        site = Site(paged, SITE - cut)
        paged.gate(VECTOR_PF, trap_handler(mending(SITE), pops=1))
        paged.map(SITE, USER | WRITABLE)
        code = Assembler(BEGIN)
        for value in (1, 2, 3):
            code.add(b"\xb8", word(value), b"\xe8", word(site.at - (code.at + len(code.code) + 10)))
        paged.run(code.code, flags=False)
        assert paged.word(TRAPS) == 1, cut
        assert paged.in_order([1, 2, 3]), (cut, paged.log)


class Site:
    """A function that posts EAX to POST in place, and is registered."""

    def __init__(self, bench: Bench, at: int) -> None:
        self.at = at
        base, memory = EXITLESS_BASE, bench.machine.memory
        cell = struct.unpack("<H", memory.read(base + Exitless.DIRECTORY + 2 * 256, 2))[0] + POST
        head = b"\x51"  # push %ecx
        body = b"".join(
            (
                *(b"\x0f\xb6\x0d", word(base + Exitless.POSTED + cell)),  # movzbl, %ecx
                *(b"\x23\x0d", word(base + Exitless.LEFT)),  # and, %ecx
                b"\x74\x1d",  # jz to the restart
                *(b"\xc7\x04\xcd", word(base + Exitless.RING - 8), word(1 << 16 | POST)),  # movl, (, %ecx, 8)
                *(b"\x89\x04\xcd", word(base + Exitless.RING - 4)),  # mov %eax, (, %ecx, 8)
                *(b"\x8d\x49\xff", b"\x89\x0d", word(base + Exitless.LEFT)),  # lea -1(%ecx), %ecx; mov
            )
        )
        tail = b"\x59\xc3"  # pop %ecx; ret
        restart = at + len(head + body + tail)
        call = Assembler(restart).add(b"\x59\xba", word(POST))
        call.add(b"\xe8", word(entry("OUTB") - (restart + len(call.code) + 5)), b"\xc3")
        memory.write(at, head + body + tail + call.code)
        memory.write(base + Exitless.SITES, struct.pack("<3I", at + len(head), len(body), restart))
        memory.write(base + Exitless.SITE_COUNT, word(1))


STEP, NO_STEP = b"\x9c\x80\x4c\x24\x01\x01\x9d", b"\x9c\x80\x64\x24\x01\xfe\x9d"  # pushf; orb or andb, 1(%esp); popf


def test_single_steps_whose_handler_posts(paged: PagedBench) -> None:
    paged.gate(VECTOR_DB, trap_handler())
    code = Assembler(BEGIN).add(STEP)
    for value in (1, 2, 3):
        code.call("OUTB", POST, value)
    paged.run(code.add(NO_STEP).code, flags=False)
    assert paged.word(TRAPS) > 30
    assert paged.in_order([1, 2, 3])


EXECUTION, STORE, EITHER = 0, 1, 3  # DR7.R/W0
G0, LENGTH_4 = 2, 3 << 18
MASKED = b"\x0f\x21\xf8\xa3" + word(RESULTS + 0x120) + b"\x31\xc0\x0f\x23\xf8"  # mov %dr7 away, and 0 into it
UNMASKED = b"\xa1" + word(RESULTS + 0x120) + b"\x0f\x23\xf8"
RESUME = b"\x80\x4c\x24\x12\x01"  # orb $1, 18(%esp): RF


@pytest.mark.parametrize(
    ("kind", "places", "hits"),
    [
        (EXECUTION, range(entry("OUTB"), entry("OUTB") + 0x78), 60),
        (STORE, range(EXITLESS_BASE + Exitless.LEFT, EXITLESS_BASE + Exitless.LEFT + 8, 4), 3),
        (STORE, range(EXITLESS_BASE + Exitless.RING + 8 * 252, EXITLESS_BASE + Exitless.RING + 8 * 255, 4), 6),
        (EITHER, range(EXITLESS_BASE + Exitless.LEFT, EXITLESS_BASE + Exitless.LEFT + 8, 4), 3),
        (STORE, range(STACK - 32, STACK, 4), 12),
    ],
    ids=["execution", "left", "ring", "left-read", "stack"],
)
def test_breakpoints_inside_a_stub_whose_handler_posts(paged: PagedBench, kind: int, places: range, hits: int) -> None:
    """At each instruction, and for what it stores and reads."""
    taken = 0
    for place in places:
        paged.gate(VECTOR_DB, trap_handler((RESUME if kind == EXECUTION else b"") + MASKED, UNMASKED))
        control = G0 | kind << 16 | (LENGTH_4 if kind else 0)
        code = Assembler(BEGIN).add(b"\xb8", word(place), b"\x0f\x23\xc0\xb8", word(control), b"\x0f\x23\xf8")
        for value in (1, 2, 3):
            code.call("OUTB", POST, value)
        paged.run(code.add(b"\xb8", word(0), b"\x0f\x23\xf8").code, flags=False)
        assert paged.in_order([1, 2, 3]), hex(place)
        taken += paged.word(TRAPS)
    assert taken >= hits


class Buffer:
    """Takes so many bytes; from then on a write may not be posted. Offset 1 reads how many it has."""

    name, span, widths, stateless = "buffer", 2, (1,), True
    publish_at: Callable[[int], None]

    def __init__(self, room: int) -> None:
        self.room, self.taken = room, list[int]()

    def attributes(self, offset: int) -> int:
        return (1 << 3) if offset else int(len(self.taken) < self.room)

    def read(self, offset: int, size: int) -> int:
        return len(self.taken)

    def write(self, offset: int, size: int, value: int) -> None:
        self.taken.append(value)
        self.publish_at(0)
        self.publish_at(1)


def test_a_posted_write_after_which_nothing_may_be_posted_loses_none_behind_it() -> None:
    """They were posted while they were allowed to be. The device in Python says so itself."""
    with Bench() as bench:
        buffer = Buffer(room=3)
        bench.machine.attach(buffer, DEVICE)
        bench.open()
        code = Assembler(CODE)
        for value in range(1, 6):
            code.call("OUTB", DEVICE, value).call("OUTB", POST, value)
        code.call("INB", SCR).call("OUTB", 0x7000).call("OUTB", DEVICE, 6).call("INB", DEVICE + 1).store(RESULTS)
        bench.run(code.code)
        assert buffer.taken == [1, 2, 3, 4, 5, 6]
        assert bench.machine.memory.read(RESULTS, 1) == b"\6"
        assert bench.counts()["refused"] == 0
        assert bench.machine.bus.attributes.at(DEVICE) == 0
        assert [path for port, _, path in bench.log if port == DEVICE] == ["POSTED"] * 5 + ["HYPERCALL"]


def test_only_the_thread_that_runs_the_guest_publishes() -> None:
    with Bench() as bench:
        buffer = Buffer(room=3)
        bench.machine.attach(buffer, DEVICE)
        buffer.publish_at(0)
        raised: list[Exception] = []

        def publish() -> None:
            try:
                buffer.publish_at(0)
            except ThreadError as error:
                raised.append(error)
            bench.machine.request_stop(StopKind.TIMEOUT)

        other = threading.Timer(0.05, publish)
        other.start()
        bench.machine.memory.write(CODE, b"\xeb\xfe")
        bench.machine.engine.set_state(protected_flat(eip=CODE))
        assert isinstance(bench.machine.run(timeout=20), Timeout)
        other.join()
        assert len(raised) == 1


class Later:
    """A device in Python that is something else from some moment on. Offset 1 reads what it is."""

    name, span, widths, stateless = "later", 2, (1,), True
    publish_at: Callable[[int], None]
    clock: Any
    timer: Any

    def __init__(self) -> None:
        self.state = 0
        self.seen: list[tuple[int, int]] = []  # state, value

    def attributes(self, offset: int) -> int:
        return 1 << 3 if offset else int(not self.state)

    def read(self, offset: int, size: int) -> int:
        return self.state

    def write(self, offset: int, size: int, value: int) -> None:
        self.seen.append((self.state, value))

    def on_timer(self, number: int) -> None:
        self.state = 1
        self.publish_at(0)
        self.publish_at(1)


def test_a_device_that_changes_by_itself_at_every_instruction(paged: PagedBench) -> None:
    """What was posted before reaches it as it was; a read is of before or of after, and then no more of before."""
    device = Later()
    paged.machine.attach(device, DEVICE)
    code = Assembler(BEGIN)
    for value in (1, 2, 3):
        code.call("OUTB", DEVICE, value).call("INB", DEVICE + 1).store(RESULTS + 0x140 + 4 * value)
    length = instructions_of(paged, code.code)
    found = set()
    for moment in range(1, length):
        device.state = 0
        device.publish_at(0)
        device.publish_at(1)
        device.seen.clear()
        device.timer.arm_at(paged.machine.clock.now_ns() + moment)
        paged.run(code.code, flags=False)
        reads = [paged.word(RESULTS + 0x140 + 4 * value) & 0xFF for value in (1, 2, 3)]
        assert [value for _, value in device.seen] == [1, 2, 3], moment
        states = [state for pair in zip((state for state, _ in device.seen), reads, strict=True) for state in pair]
        assert states == sorted(states), (moment, states)
        found.add(tuple(states))
    assert len(found) >= 6


def test_bytes_come_while_the_guest_reads_the_line_status() -> None:
    """LSR.DR is 0, from some instruction on 1; then RBR is the byte."""
    console = MemoryBackend()
    seen = set()
    with Bench(serial=console) as bench:
        feeder = Feeder(console)
        bench.machine.attach(feeder, DEVICE)
        code = Assembler(CODE)
        for place in range(4):
            code.call("INB", LSR).store(RESULTS + 4 * place)
        code.call("INB", 0x80).call("INB", 0x3F8).store(RESULTS + 16)
        bench.open()
        for moment in range(1, instructions_of(bench, code.code) - len(END) - 20):
            feeder.timer.arm_at(bench.machine.clock.now_ns() + moment)
            bench.run(code.code)
            reads = struct.unpack("<5I", bench.machine.memory.read(RESULTS, 20))
            ready = [value & 1 for value in reads[:4]]
            assert ready == sorted(ready), moment
            assert reads[4] & 0xFF == 0x5A, moment
            seen.add(sum(ready))
    assert seen == {0, 1, 2, 3, 4}


LSR: Final = 0x3FD


class Feeder:
    """Has its console hear a byte by a time of the guest's."""

    name, span, stateless = "feeder", 1, True
    timer: Any

    def __init__(self, console: MemoryBackend) -> None:
        self.console = console

    def read(self, offset: int, size: int) -> int:
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        pass

    def on_timer(self, number: int) -> None:
        self.console.feed(b"\x5a")


def held_at(moment: int, **config: Any) -> tuple[Bench, list[int]]:
    """A machine that was stopped so many instructions after it began to post 1 and 2; what was seen so far."""
    bench = Bench(**config)
    bench.open()
    bench.log.clear()
    bench.machine.memory.write(CODE, posts([1, 2]) + END)
    stopper = Stopper(bench.machine)
    bench.machine.attach(stopper, DEVICE)
    state = protected_flat(eip=CODE)
    state.esp = STACK
    bench.machine.engine.set_state(state)
    stopper.timer.arm_at(bench.machine.clock.now_ns() + moment)
    assert isinstance(bench.machine.run(timeout=20), Timeout)
    return bench, [value for port, value, _ in bench.log if port == POST]


class Stopper:
    """Ends the run by a time of the guest's."""

    name, span, stateless = "stopper", 1, True
    timer: Any

    def __init__(self, machine: Machine | None = None) -> None:
        self.machine = machine

    def read(self, offset: int, size: int) -> int:
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        pass

    def on_timer(self, number: int) -> None:
        assert self.machine is not None
        self.machine.request_stop(StopKind.TIMEOUT)


MOMENTS: Final = range(1, 2 * 31)


def note(values: list[int], access: PortAccess) -> None:
    if access.port == POST:
        values.append(access.value)


def test_a_machine_saved_at_every_instruction_goes_on_elsewhere(tmp_path: Path) -> None:
    file = tmp_path / "machine.state"
    lengths = set()
    for moment in MOMENTS:
        bench, values = held_at(moment)
        with bench:
            bench.machine.save(file)

        def attach(other: Machine) -> None:
            other.attach(Interrupter(), 0x2A0, irq=IRQ)
            other.attach(Stopper(), DEVICE)

        lengths.add(len(values))
        rest: list[int] = []
        with Machine.restore(file, attach=attach) as machine:
            machine.bus.observe(partial(note, rest))
            assert isinstance(machine.run(timeout=20), HaltedForever)
        assert values + rest == [1, 2], (moment, values, rest)
    assert lengths == {0, 1, 2}


def test_a_run_that_is_left_at_every_instruction_for_another_guest() -> None:
    """As a reset in the middle of a stub: nothing of the first one comes later, and the tables are whole."""
    for moment in MOMENTS:
        bench, values = held_at(moment)
        with bench:
            assert values == list(range(1, len(values) + 1))
            assert bench.machine.exitless is not None
            bench.machine.exitless.reset()
            bench.run(posts([7, 8]))
            assert bench.log == [(POST, 7, "HYPERCALL"), (POST, 8, "POSTED")]
            assert bench.counts()["refused"] == 0


@pytest.mark.parametrize("clock", ["insns=1", "insns=10", "real"])
@pytest.mark.parametrize("flag", [b"\xfa", b"\xfb"], ids=["cli", "sti"])
def test_a_guest_that_only_spins_is_heard_within_a_millisecond(clock: str, flag: bytes) -> None:
    """Nothing crosses behind its writes, be interrupts on or off."""
    moments: list[int] = []
    with Bench(clock=clock) as bench:
        bench.log.clear()
        bench.machine.bus.observe(lambda access: moments.append(bench.machine.clock.now_ns()))
        code = Assembler(CODE).add(flag).call("OUTB", POST, 1).call("OUTB", POST, 2).add(b"\xeb\xfe")
        bench.machine.memory.write(CODE, code.code)
        state = protected_flat(eip=CODE)
        state.esp = STACK
        bench.machine.engine.set_state(state)
        stopper = Stopper(bench.machine)
        bench.machine.attach(stopper, DEVICE)
        stopper.timer.arm_at(bench.machine.clock.now_ns() + 20_000_000)
        assert isinstance(bench.machine.run(timeout=60), Timeout)
        assert bench.log == [(POST, 1, "HYPERCALL"), (POST, 2, "POSTED")]
    assert clock == "real" or moments[1] - moments[0] <= 1_000_000


def test_two_machines_on_two_threads() -> None:
    """Each posts into its own ring."""
    said: dict[int, list[int]] = {}

    def run(number: int) -> None:
        with Bench() as bench:
            values = [(number * 97 + step) & 0x3F for step in range(200)]
            got: list[int] = []
            for _ in range(30):
                bench.run(posts(values))
                got += [value for _, value, _ in bench.log]
            said[number] = got
            assert got == values * 30

    threads = [threading.Thread(target=run, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(said) == [1, 2]
