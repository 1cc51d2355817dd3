# SPDX-License-Identifier: GPL-2.0-or-later
"""What every engine owes the run loop: run over all of ENGINES."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from hyperport import Device
from hyperport.bus.python_device import PythonDevice
from hyperport.cpu.state import FpuState, Segment, Table, real_mode
from hyperport.devices.debug_exit import DebugExit
from hyperport.engines import ENGINES, resolve
from hyperport.engines.base import EngineCounters
from hyperport.engines.scripted import ScriptedEngine
from hyperport.errors import ConfigError, EngineError
from hyperport.io import PATHS
from hyperport.lines.attention import StopKind
from hyperport.lines.listener import Listener
from hyperport.time.clock import Timer

from ..conftest import LIMIT_S
from .board import START, Board


@pytest.fixture(params=sorted(ENGINES))
def board(request: pytest.FixtureRequest) -> Iterator[Board]:
    if request.param == "kvm":
        request.getfixturevalue("kvm")
    made = Board(request.param)
    made.memory.write(START, b"\xf4")
    made.engine.set_state(real_mode(cs=0, ip=START))
    alarm = threading.Timer(LIMIT_S, made.attention.stop, (StopKind.TIMEOUT,))
    alarm.start()
    yield made
    alarm.cancel()
    made.engine.close()


def test_entry_tells_the_truth(board: Board) -> None:
    entry = ENGINES[board.engine.name]
    assert entry.paths == board.engine.paths
    assert set(entry.paths) <= set(PATHS)
    assert entry.summary
    assert all(check.ok or entry.name == "kvm" for check in entry.check())  # a host may lack KVM, or have a poor one


def test_unknown_engine_is_refused() -> None:
    with pytest.raises(ConfigError, match="'bochs' is unknown; choose from auto, kvm, scripted, unicorn"):
        resolve("bochs")


def test_halt(board: Board) -> None:
    halted_before = board.engine.halted
    assert board.engine.run().kind == StopKind.HALT
    assert (halted_before, board.engine.halted, board.engine.interrupts_enabled) == (False, True, False)
    assert board.engine.run().kind == StopKind.HALT


@pytest.mark.parametrize("kind", sorted(set(StopKind) - {StopKind.NONE, StopKind.HALT}))
def test_stop_request_is_served_once(board: Board, kind: StopKind) -> None:
    failure = ValueError("why")
    board.attention.stop(kind, 42, failure, "because")
    stop = board.engine.run()
    assert (stop.kind, stop.value, stop.failure, stop.text) == (kind, 42, failure, "because")
    assert board.engine.run().kind == StopKind.HALT


def test_first_stop_request_wins(board: Board) -> None:
    board.attention.stop(StopKind.RESET)
    board.attention.stop(StopKind.TIMEOUT)
    assert board.engine.run().kind == StopKind.RESET
    assert board.engine.run().kind == StopKind.HALT


@pytest.mark.parametrize("kind", [StopKind.PAUSE, StopKind.SIGNAL, StopKind.TIMEOUT, StopKind.QUIT])
def test_a_stop_from_outside_loses_to_an_exit_that_the_guest_has_made(board: Board, kind: StopKind) -> None:
    """Asked for in the middle of a block of code: the exit is in it, or the next run comes upon it."""
    ports = (0x50, 0xF4)

    class Asks(Device):
        """A moment at which somebody else asks for a stop."""

        def write(self, offset: int, size: int, value: int) -> None:
            board.attention.stop(kind)

    board.bus.attach(Asks(), ports[0])
    board.bus.attach(DebugExit(board.attention), ports[1])
    engine: object = board.engine  # an Engine to mypy, which no ScriptedEngine could be besides
    if isinstance(engine, ScriptedEngine):
        engine.play(("out", port, 1, 7) for port in ports)
    else:
        board.memory.write(START, b"\xb0\x07\xe6\x50\xe6\xf4\xf4")  # mov al, 7; out 50h, al; out F4h, al; hlt
    stop = board.engine.run()
    if stop.kind == kind:  # between the two
        stop = board.engine.run()
    assert (stop.kind, stop.value) == (StopKind.GUEST_EXIT, 7)
    assert board.engine.run().kind == StopKind.HALT


def test_look_up_fires_timers_that_are_due(board: Board) -> None:
    class Alarm(Device):
        """Counts its alarms."""

        rung = 0

        def on_timer(self, number: int) -> None:
            self.rung += 1

    alarm = Alarm()
    timer = Timer(board.clock, PythonDevice(alarm), 0)
    timer.arm_at(1000)
    board.engine.look_up()
    assert alarm.rung == 0
    board.clock.advance(1000)
    board.engine.look_up()
    assert alarm.rung == 1


def test_state_is_what_was_loaded(board: Board) -> None:
    loaded = replace(
        real_mode(cs=0x1234, ip=0x5678), eax=0xDEADBEEF, edi=1, gdtr=Table(0x1000, 0x7F), fs=Segment(0x20, 0x200)
    )
    loaded.fpu = FpuState(
        0x27F,
        3 << 11 | 1,
        0x18,
        tuple(bytes([n] * 10) for n in range(8)),
        0x1FA0,
        tuple(bytes([n] * 16) for n in range(8)),
    )
    board.engine.set_state(loaded)
    assert loaded.differences(board.engine.state()) == []


def test_counters_and_pins(board: Board) -> None:
    assert board.engine.counters() == EngineCounters()
    assert isinstance(board.engine.a20_pin, Listener)


def test_what_code_is_executed_is_counted_or_refused(board: Board) -> None:
    if board.engine.name == "unicorn":
        board.engine.cover()
        board.engine.run()
        assert board.engine.covered() == ([(START, START + 1, 1)], 0)
        return
    with pytest.raises(EngineError, match="use --engine unicorn"):
        board.engine.cover()
    assert board.engine.covered() == ([], 0)


def test_close_twice(board: Board) -> None:
    board.engine.close()
    board.engine.close()


def test_a_halted_vcpu_that_takes_no_interrupts_stays_halted(board: Board) -> None:
    assert board.engine.run().kind == StopKind.HALT
    at = board.engine.state().eip
    board.line(3).set(1)
    assert board.controller.pending()
    assert board.engine.run().kind == StopKind.HALT
    assert (board.engine.halted, board.engine.state().eip) == (True, at)
