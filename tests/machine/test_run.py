# SPDX-License-Identifier: GPL-2.0-or-later
"""From a Stop to an outcome, on the engine that has no CPU."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest

from hyperport import (
    Device,
    EngineAbort,
    GuestExit,
    HaltedForever,
    Interrupted,
    Machine,
    Outcome,
    Panic,
    PowerOff,
    Quit,
    Reset,
    StopKind,
    Timeout,
    TripleFault,
    VirtualClock,
)
from hyperport.engines.scripted import ScriptedEngine
from hyperport.machine.run import OUTCOMES

from ..conftest import MIB

PANIC = b"[  1.0] Kernel panic - not syncing: no init\n"
PANIC_END = b"[  1.1] ---[ end Kernel panic - not syncing: no init ]---\n"


@pytest.fixture
def machine() -> Iterator[Machine]:
    with Machine(engine="scripted", memory=MIB, clock=VirtualClock()) as made:
        yield made


def engine(machine: Machine) -> ScriptedEngine:
    return cast(ScriptedEngine, machine.engine)


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        (StopKind.GUEST_EXIT, GuestExit(9)),
        (StopKind.RESET, Reset()),
        (StopKind.POWER_OFF, PowerOff()),
        (StopKind.PANIC, Panic("kernel panic")),
        (StopKind.ENGINE_ABORT, EngineAbort("words")),
        (StopKind.SIGNAL, Interrupted(9)),
        (StopKind.TIMEOUT, Timeout(0.0)),
        (StopKind.QUIT, Quit()),
    ],
)
def test_stop_becomes_an_outcome(machine: Machine, kind: StopKind, outcome: Outcome) -> None:
    machine.attention.stop(kind, 9, None, "words")
    assert machine.run() == outcome


def test_outcomes_with_registers(machine: Machine) -> None:
    assert machine.run() == HaltedForever(machine.engine.state())
    machine.attention.stop(StopKind.TRIPLE_FAULT)
    assert machine.run() == TripleFault(machine.engine.state())


def test_every_kind_has_its_place() -> None:
    elsewhere = {StopKind.NONE, StopKind.PAUSE, StopKind.DEVICE_ERROR, StopKind.RESTART}
    assert set(OUTCOMES) | elsewhere == set(StopKind)
    assert not set(OUTCOMES) & elsewhere


@pytest.mark.parametrize("kind", [StopKind.DEVICE_ERROR, StopKind.TIMEOUT])
def test_failure_of_a_device_is_raised_whatever_came_first(machine: Machine, kind: StopKind) -> None:
    machine.attention.stop(kind)
    machine.attention.stop(StopKind.DEVICE_ERROR, 0, ZeroDivisionError("device"), "device raised")
    with pytest.raises(ZeroDivisionError, match="device"):
        machine.run()


def test_monitor_goes_on_or_quits(machine: Machine) -> None:
    answers = ["continue", "quit"]

    def monitor(asking: Machine) -> str:
        assert asking is machine
        answer = answers.pop(0)
        if answer == "continue":
            machine.request_stop(StopKind.PAUSE)
        return answer

    machine.request_stop(StopKind.PAUSE)
    assert machine.run(monitor=monitor) == Quit()
    assert answers == []


def test_pause_without_a_monitor_goes_on(machine: Machine) -> None:
    machine.request_stop(StopKind.PAUSE)
    assert isinstance(machine.run(), HaltedForever)


@pytest.mark.parametrize("kind", [StopKind.RESET, StopKind.POWER_OFF, StopKind.TRIPLE_FAULT, StopKind.HALT])
def test_panic_explains_what_came_after_it(machine: Machine, kind: StopKind) -> None:
    engine(machine).play(("out", 0x3F8, 1, byte) for byte in PANIC)
    if kind == StopKind.RESET:
        engine(machine).play([("out", 0x64, 1, 0xFE)])
    elif kind != StopKind.HALT:
        machine.run()
        machine.request_stop(kind)
    assert machine.run() == Panic(PANIC.decode().strip())


def test_panic_on_the_screen_explains_a_reset(machine: Machine) -> None:
    text = PANIC.decode().strip()
    machine.memory.write(0xB8000 + 160 * 24, b"".join(bytes([ord(character), 7]) for character in text))
    machine.attention.stop(StopKind.RESET)
    assert machine.run() == Panic(text)


def test_end_of_a_panic_ends_the_run(machine: Machine) -> None:
    engine(machine).play(("out", 0x3F8, 1, byte) for byte in PANIC + PANIC_END)
    engine(machine).play([("out", 0xF4, 1, 7)])
    assert machine.run() == Panic(PANIC.decode().strip())


@pytest.mark.parametrize(
    ("access", "outcome"),
    [
        (("out", 0xF4, 1, 7), GuestExit(7)),
        (("out", 0x501, 1, 3), GuestExit(3)),
        (("out", 0x64, 1, 0xFE), Reset()),
        (("out", 0x604, 2, 0x2000), PowerOff()),
    ],
)
def test_ports_that_end_the_run(machine: Machine, access: tuple[str, int, int, int], outcome: Outcome) -> None:
    engine(machine).play([access, ("out", 0x80, 1, 0)])
    assert machine.run() == outcome


def test_halted_guest_lets_virtual_time_pass(machine: Machine) -> None:
    class Alarm(Device):
        """Ends the run two seconds after power-on."""

        def reset(self) -> None:
            self.timer.arm_at(2_000_000_000)

        def on_timer(self, number: int) -> None:
            assert machine.clock.now_ns() == 2_000_000_000
            machine.request_stop(StopKind.QUIT)

    engine(machine).interrupts_enabled = True
    machine.attach(Alarm(), 0x300)
    assert machine.run() == Quit()
    assert machine.clock.now_ns() == 2_000_000_000
