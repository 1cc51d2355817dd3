# SPDX-License-Identifier: GPL-2.0-or-later
"""The run loop: the whole machine on one screen.

Guest code runs inside engine.run(), without the GIL, and devices answer there. What comes out are the moments that
need a decision: the guest halts, something has ended the run, or the user wants the monitor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from hyperport import outcome
from hyperport.engines.base import Engine, Stop
from hyperport.errors import OutputError
from hyperport.lines.attention import Attention, Pulled, StopKind
from hyperport.machine.interrupt import Unresponsive
from hyperport.time.clock import Clock

RESET_IT = "reset"  # of --triple-fault
FOR_A_SAVE = 1  # the value of a PAUSE that no monitor is wanted for


class Runs(Protocol):
    """What the loop needs of a machine. timeout: seconds, of this run."""

    engine: Engine
    controller: Any
    attention: Attention
    config: Any
    board: Any
    clock: Clock
    timeout: float | None
    saves: Any

    def flush_output(self) -> None:
        """Send what waits for a newline."""

    def restart_if_pulled(self) -> bool:
        """Start again if the guest has pulled a reset line; False where that ends the run."""

    def panic_line(self) -> str | None:
        """The first line of a kernel panic that was seen, or None."""


def run(machine: Runs, monitor: Callable[[Any], str] | None = None) -> outcome.Outcome:
    """Run the guest to its end. Raises what a Python device raised, and KeyboardInterrupt on Ctrl-C."""
    while True:
        if not machine.restart_if_pulled():
            return finish(machine, Stop(StopKind.RESET))
        stop = machine.engine.run(sleep=True)
        if stop.kind == StopKind.HALT:
            if not machine.engine.interrupts_enabled:
                return finish(machine, stop)
            wait_for_interrupt(machine)
        elif stop.kind == StopKind.PAUSE:
            if not machine.restart_if_pulled():  # what is saved, or looked at, is the machine that goes on
                return finish(machine, Stop(StopKind.RESET))
            machine.saves.serve()
            if stop.value != FOR_A_SAVE and monitor is not None and monitor(machine) == outcome.Quit.kind:
                return outcome.Quit()
        elif stop.kind == StopKind.TRIPLE_FAULT and machine.config.triple_fault == RESET_IT:
            machine.board.reset_pin.pull(Pulled.CPU)
        elif stop.kind != StopKind.RESTART:
            return finish(machine, stop)


def wait_for_interrupt(machine: Runs) -> None:
    """The vCPU sits in HLT: let time pass until the interrupt controller or a stop request wants it."""
    machine.flush_output()
    while True:
        machine.engine.look_up()
        if machine.controller.pending() or machine.attention.stop_pending():
            return
        machine.clock.idle(machine.attention)


def finish(machine: Runs, stop: Stop) -> outcome.Outcome:
    """The outcome that a stop means; a panic on the console explains whatever came after it."""
    if isinstance(stop.failure, OutputError):
        return outcome.OutputLost(str(stop.failure))
    if stop.failure is not None and not isinstance(stop.failure, Unresponsive):  # whatever else came first
        raise stop.failure
    panic = machine.panic_line()
    if panic is not None and stop.kind in PANIC_EXPLAINS:
        return outcome.Panic(panic)
    return OUTCOMES[stop.kind](machine, stop)


NO_ENDS = (StopKind.PAUSE, StopKind.RESTART)  # the loop goes on after them
PANIC_EXPLAINS = (StopKind.PANIC, StopKind.RESET, StopKind.HALT, StopKind.POWER_OFF, StopKind.TRIPLE_FAULT)

OUTCOMES: dict[StopKind, Callable[[Runs, Stop], outcome.Outcome]] = {
    StopKind.HALT: lambda machine, _: outcome.HaltedForever(machine.engine.state()),
    StopKind.GUEST_EXIT: lambda _, stop: outcome.GuestExit(stop.value),
    StopKind.RESET: lambda *_: outcome.Reset(),
    StopKind.POWER_OFF: lambda *_: outcome.PowerOff(),
    StopKind.TRIPLE_FAULT: lambda machine, _: outcome.TripleFault(machine.engine.state()),
    StopKind.PANIC: lambda machine, _: outcome.Panic(machine.panic_line() or "kernel panic"),
    StopKind.ENGINE_ABORT: lambda _, stop: outcome.EngineAbort(stop.text or "the engine gave no reason", stop.state),
    StopKind.GUEST_KILLED: lambda _, stop: outcome.GuestKilled(stop.text or f"call {stop.value:#x}"),
    StopKind.SIGNAL: lambda _, stop: outcome.Interrupted(stop.value),
    StopKind.TIMEOUT: lambda machine, _: outcome.Timeout(machine.timeout or 0.0),
    StopKind.QUIT: lambda *_: outcome.Quit(),
}

OWN_CODE = frozenset(function.__code__ for function in (run, wait_for_interrupt, finish))
