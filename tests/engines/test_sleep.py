# SPDX-License-Identifier: GPL-2.0-or-later
"""A vCPU that sleeps in HLT inside the engine: what wakes it, what brings it back to the run loop, what is seen."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

import pytest

from hyperport.bus.python_device import PythonDevice
from hyperport.cpu.state import CpuState
from hyperport.engines.base import Stop
from hyperport.io.crossing import CallbackHook, Crossing, hook
from hyperport.lines.attention import StopKind
from hyperport.time.clock import Clock, RealClock, Timer, VirtualClock
from hyperport.time.insn_clock import InsnClock

from ..conftest import LIMIT_S
from .board import START, VECTOR_BASE, Board

PERIOD_NS = 1_000_000
WAITS = "fb f4 eb fd         ; sti; again: hlt; jmp again"
# Counts in DI; the fifth tick goes back with IF clear, behind the HLT, which is the last.
FIVE_TICKS = """
    47                  ; inc di
    b0 20  e6 20        ; mov al, 0x20; out 0x20, al
    83 ff 05            ; cmp di, 5
    75 06               ; jne back
    89 e5               ; mov bp, sp
    80 66 05 fd         ; and byte [bp+5], 0xfd
    cf                  ; back: iret
"""


class Ticks:
    """A device that pulls IRQ 0 every PERIOD_NS, and notes whether the vCPU was in HLT then."""

    def __init__(self, board: Board, period_ns: int = PERIOD_NS) -> None:
        self.board, self.period_ns = board, period_ns
        self.wire = board.line(0)
        self.halted: list[bool] = []
        self.timer = Timer(board.clock, PythonDevice(self))
        self.timer.arm_at(board.clock.now_ns() + period_ns)

    def read(self, offset: int, size: int) -> int:
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        pass

    def on_timer(self, number: int) -> None:
        self.halted.append(self.board.engine.halted)
        self.timer.arm_at(self.board.clock.now_ns() + self.period_ns)
        self.wire.pulse()


@pytest.fixture
def make() -> Iterator[Callable[[Clock], Board]]:
    boards, alarms = [], []

    def made(clock: Clock) -> Board:
        board = Board(clock=clock)
        board.bus.attach(board.pic, 0x20)
        alarm = threading.Timer(LIMIT_S, board.attention.stop, (StopKind.TIMEOUT,))
        alarm.start()
        boards.append(board)
        alarms.append(alarm)
        return board

    yield made
    for alarm in alarms:
        alarm.cancel()
    for board in boards:
        board.engine.close()


def by_the_loop(board: Board) -> Stop:
    """As machine/run.py without a sleeping engine."""
    stop = board.real(WAITS, {VECTOR_BASE: FIVE_TICKS})
    while stop.kind == StopKind.HALT and board.engine.interrupts_enabled:
        board.engine.look_up()
        if not board.controller.pending():
            board.clock.idle(board.attention)
        else:
            stop = board.engine.run()
    return stop


def inside(board: Board) -> Stop:
    return board.real(WAITS, {VECTOR_BASE: FIVE_TICKS}, sleep=True)


@pytest.mark.parametrize("kind", [VirtualClock, InsnClock])
def test_the_guest_cannot_tell_where_it_slept(make: Callable[[Clock], Board], kind: type[Clock]) -> None:
    ends: list[tuple[CpuState, int, object]] = []
    for way in (by_the_loop, inside):
        board = make(kind())
        ticks = Ticks(board)
        assert way(board).kind == StopKind.HALT
        assert ticks.halted == [True] * 5
        assert (board.engine.halted, board.engine.interrupts_enabled) == (True, False)
        counters = board.engine.counters()
        assert (counters.hlts, counters.interrupts) == (6, {VECTOR_BASE: 5})
        state = board.state()
        state.tsc = 0  # under virtual time the host's
        ends.append((state, board.clock.now_ns(), getattr(board.clock, "instructions", None)))
    assert ends[0] == ends[1]


def test_interrupts_are_off(make: Callable[[Clock], Board]) -> None:
    board = make(VirtualClock())
    Ticks(board)
    assert board.real("fa f4  ; cli; hlt", sleep=True).kind == StopKind.HALT
    assert board.clock.now_ns() == 0


def test_a_stop_from_another_thread_ends_a_sleep_without_end(make: Callable[[Clock], Board]) -> None:
    board = make(VirtualClock())
    threading.Timer(0.05, board.attention.stop, (StopKind.QUIT,)).start()
    while (stop := board.real(WAITS, sleep=True)).kind == StopKind.HALT:  # each is the loop's turn
        pass
    assert stop.kind == StopKind.QUIT
    assert (board.engine.halted, board.state().eip) == (True, START + 2)
    assert board.engine.run(sleep=True).kind == StopKind.HALT  # it still waits


def test_the_run_loop_has_its_turn(make: Callable[[Clock], Board]) -> None:
    """Though interrupts come as ever, and by a clock that says nothing of the host's time."""
    board = make(VirtualClock())
    ticks = Ticks(board)
    stop = board.real(WAITS, {VECTOR_BASE: "b0 20 e6 20 cf ; mov al, 0x20; out 0x20, al; iret"}, sleep=True)
    assert (stop.kind, board.engine.interrupts_enabled) == (StopKind.HALT, True)
    assert board.engine.counters().hlts >= len(ticks.halted) > 1


def test_a_signal_brings_it_back(make: Callable[[Clock], Board]) -> None:
    """Its handler may be one in Python, which runs on this thread when there is byte code to run."""
    board = make(RealClock())
    seen: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        seen.append(number)

    previous = signal.signal(signal.SIGALRM, note)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        while not seen:
            assert board.real(WAITS, sleep=True).kind == StopKind.HALT
    finally:
        signal.signal(signal.SIGALRM, previous)
    assert seen == [signal.SIGALRM]


def test_each_hlt_is_one_crossing(make: Callable[[Clock], Board]) -> None:
    board = make(VirtualClock())
    Ticks(board)
    crossings: list[Crossing] = []
    hook(board.engine, CallbackHook(lambda why, place: crossings.append(why)))
    inside(board)
    assert crossings.count(Crossing.HLT) == 6
    after = [crossings[i + 1] for i, why in enumerate(crossings[:-1]) if why == Crossing.HLT]
    assert after == [Crossing.DELIVERY] * 5
