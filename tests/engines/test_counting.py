# SPDX-License-Identifier: GPL-2.0-or-later
"""Instructions counted by the engine for a clock of instructions: each once, and interrupts at a count."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hyperport import InsnClock
from hyperport.bus.access import PortAccess
from hyperport.bus.port_bus import PortBus
from hyperport.bus.python_device import PythonDevice
from hyperport.io.exit import ExitPath
from hyperport.io.path import PortPath
from hyperport.io.trap import TrapPath
from hyperport.lines.attention import StopKind
from hyperport.outcome import GuestExit, Timeout
from hyperport.time.clock import Timer

from ..conftest import built_in, flat_guest
from .board import START, VECTOR_BASE, Board

SKIP_2 = dict.fromkeys((0, 6), "89 e5 83 46 00 02 cf")  # mov bp, sp; add word [bp], 2; iret
NO_TF = {1: "89 e5 81 66 04 ff fe cf"}  # mov bp, sp; and word [bp + 4], ~TF; iret
PORT = 0x80
PATHS: dict[str, Callable[[PortBus], PortPath]] = {"exit": ExitPath, "trap": TrapPath}

COUNTS = {  # what: listing in 16-bit code up to a HLT, handlers by vector, instructions, HLT too
    "in a row": ("90 90 90 90 90 f4", {}, 6),
    "a loop": ("b9 64 00 e2 fe f4", {}, 102),
    "ports": ("e6 80 90 e4 80 90 f4", {}, 5),
    "INT": ("90 cd 21 90 f4", {0x21: "cf"}, 5),
    "INT3": ("90 cc 90 f4", {3: "cf"}, 5),
    "#UD is no instruction": ("90 90 0f 0b 90 90 f4", SKIP_2, 8),
    "#DE is no instruction": ("90 31 db f7 f3 90 f4", SKIP_2, 7),
    "single step": ("9c 58 0d 00 01 50 9d 90 90 f4", NO_TF, 11),
    "PAUSE": ("90 f3 90 90 f4", {}, 4),
    "STI": ("fb 90 f4", {}, 3),
    "a store into its own block": ("c6 06 06 10 43 90 90 90 f4", {}, 5),
    "no RAM, in mid-block": ("90 b8 00 a0 8e c0 26 8b 1e 00 00 90 f4", {}, 6),
    "REP STOSB of 5": ("b9 05 00 bf 00 30 f3 aa f4", {}, 9),
    "REP OUTSB of 5": ("b9 05 00 ba 80 00 be 00 30 f3 6e f4", {}, 10),
    "REP OUTSB of 1": ("b9 01 00 ba 80 00 be 00 30 f3 6e f4", {}, 6),
    "REP OUTSB of 0": ("b9 00 00 ba 80 00 be 00 30 f3 6e f4", {}, 5),
    "REP INSB of 5": ("b9 05 00 ba 80 00 bf 00 30 f3 6c f4", {}, 10),
    "OUTSB": ("ba 80 00 be 00 30 6e 90 f4", {}, 5),
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("what", COUNTS)
def test_each_instruction_counts_once(what: str, path: str) -> None:
    listing, handlers, instructions = COUNTS[what]
    clock = InsnClock()
    board = Board(clock=clock, path=PATHS[path])
    for total in (instructions, 2 * instructions):  # made, and made before
        assert board.real(listing, handlers).kind == StopKind.HALT
        assert clock.instructions == total
    board.engine.close()
    assert clock.instructions == 2 * instructions


@pytest.mark.parametrize("ns", [1, 4, 7])
@pytest.mark.parametrize("path", PATHS)
def test_rdtsc_is_exact_within_a_row(path: str, ns: int) -> None:
    board = Board(clock=InsnClock(ns), path=PATHS[path])
    board.real("90 90 0f 31 89 c6 90 e6 80 90 0f 31 29 f0 f4")  # rdtsc; mov si, ax; ...; rdtsc; sub ax, si
    assert board.engine.state().eax & 0xFFFF == 5 * ns


class Alarm:
    """A device whose timer raises a line."""

    def __init__(self, board: Board) -> None:
        self.line = board.line(0)
        self.timer = Timer(board.clock, PythonDevice(self), 0)

    def read(self, offset: int, size: int) -> int:
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        pass

    def on_timer(self, number: int) -> None:
        self.line.set(1)


@pytest.mark.parametrize("count", range(60))
def test_an_interrupt_comes_at_its_count(count: int) -> None:
    board = Board(clock=InsnClock(1))
    alarm = Alarm(board)
    alarm.timer.arm_at(count)
    board.real("fb" + "90" * 64 + "f4", {VECTOR_BASE: "f4"})  # STI, whose shadow covers the instruction behind it
    assert int.from_bytes(board.memory.read(START - 6, 2), "little") == START + max(count, 2)


def accesses_of(seed: int | None) -> tuple[list[tuple[int, PortAccess]], int]:
    """The demo guest's, each with its count. seed: stop it at random moments, and have its code translated again."""
    clock, seen, chance = InsnClock(), [], random.Random(seed)
    with built_in("demo", clock=clock) as machine:

        def look(access: PortAccess) -> None:
            seen.append((clock.instructions, access))
            if seed is not None and chance.random() < 0.05:  # the same bytes: the core forgets what it made of them
                machine.memory.write(1 << 20, machine.memory.read(1 << 20, 1 << 16))

        machine.bus.observe(look)
        over = threading.Event()

        def pester() -> None:
            while not over.wait(chance.random() * 0.002):
                machine.attention.stop(StopKind.PAUSE)  # gives way to the guest's own end, and the run goes on

        thread = threading.Thread(target=pester)
        if seed is not None:
            thread.start()
        try:
            outcome = machine.run()
        finally:
            over.set()
            if seed is not None:
                thread.join()
        assert outcome == GuestExit(0)
        return seen, clock.instructions


def test_what_the_host_does_changes_no_count() -> None:
    plain = accesses_of(None)
    assert len(plain[0]) > 500
    for seed in range(5):
        assert accesses_of(seed) == plain


def test_a_guest_that_polls_for_ever_hears_another_thread(tmp_path: Path) -> None:
    with flat_guest(tmp_path, "eb fe", clock="insns") as machine:
        assert isinstance(machine.run(timeout=0.5), Timeout)
        assert machine.clock.now_ns() > 0


def test_a_guest_may_wait_in_hlt_for_long() -> None:
    clock = InsnClock()
    board = Board(clock=clock)
    alarm = Alarm(board)
    alarm.timer.arm_at(10**12)
    began = time.monotonic_ns()
    assert board.real("fb f4", {VECTOR_BASE: "f4"}).kind == StopKind.HALT
    board.clock.idle(board.attention)
    board.engine.look_up()
    assert board.engine.run().kind == StopKind.HALT
    assert clock.now_ns() == 10**12 + 4
    assert time.monotonic_ns() - began < 10**12
