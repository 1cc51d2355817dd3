# SPDX-License-Identifier: GPL-2.0-or-later
"""An engine without a CPU: plays a list of port and memory accesses through its path. For tests of all the rest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from hyperport.bus.access import Direction
from hyperport.cpu.state import CpuState
from hyperport.engines.base import Check, CodeCount, EngineCounters, Stop
from hyperport.engines.shared.scripted_vcpu import ScriptedVcpu
from hyperport.errors import EngineError
from hyperport.lines.attention import StopKind
from hyperport.lines.listener import Listener

Step = tuple[str, int, int, int]  # "in" or "out", port, size, value; "load" or "store", physical address, size, value


class ScriptedEngine:
    """script: steps ("in"|"out"|"load"|"store", port or address, size, value). answers: what INs and loads gave."""

    name = "scripted"
    paths: tuple[str, ...] = ("exit",)

    def __init__(self, memory: Any, path: Any, controller: Any, attention: Any, clock: Any) -> None:
        self.memory = memory
        self.path = path
        self.vcpu = ScriptedVcpu(path, memory)
        self.controller = controller
        self.attention = attention
        self.clock = clock
        self.script: list[Step] = []
        self.answers: list[int] = []
        self.halted = False
        self.interrupts_enabled = False
        self.a20_pin = Listener()
        self.guard: Any = None
        self._state = CpuState()

    def play(self, steps: Iterable[Step]) -> None:
        """Add steps to what run() does."""
        self.script.extend(steps)

    def run(self, sleep: bool = False) -> Stop:
        """Play until a stop is asked for or the script is over, which halts with interrupts off."""
        while True:
            kind, value, failure, text = self.attention.take_stop()
            if kind != StopKind.NONE:
                return Stop(kind, value, failure, text)
            if not self.script:
                self.halted = True
                return Stop(StopKind.HALT)
            direction, port, size, value = self.script.pop(0)
            if direction == "in":
                self.answers.append(self.vcpu.access(Direction.IN, port, size))
            elif direction == "load":
                self.answers.append(self.vcpu.load_store(Direction.IN, port, size))
            elif direction == "store":
                self.vcpu.load_store(Direction.OUT, port, size, value)
            else:
                self.vcpu.access(Direction.OUT, port, size, value)

    def look_up(self) -> None:
        """Fire the timers that are due."""
        if self.guard is not None:
            self.guard.check("look_up")
        self.clock.fire_due()

    def listen(self, listener: Listener) -> None:
        """Host input is not moved: a script has no moment for it."""

    def connect_ferr(self, line: Any) -> None:
        """There is no FPU to drive it."""

    def offer(self, calls: Any, cpuid_leaves: Any = None) -> None:
        """A script makes no calls."""

    def take_images(self, images: Any) -> None:
        """Nor these."""

    def state(self) -> CpuState:
        """The registers as they were set."""
        return replace(self._state, halted=self.halted)

    def set_state(self, state: CpuState) -> None:
        """Keep the registers; no code runs."""
        self._state = state
        self.halted = state.halted

    def counters(self) -> EngineCounters:
        """Nothing is counted."""
        return EngineCounters()

    def cover(self) -> None:
        """Raises EngineError: no code runs."""
        raise EngineError("scripted: a script has no code whose execution could be counted: use --engine unicorn")

    def covered(self) -> tuple[list[CodeCount], int]:
        """Nothing."""
        return [], 0

    def close(self) -> None:
        """Nothing to give back."""


factory = ScriptedEngine


def check() -> list[Check]:
    """Always works."""
    return [Check("scripted", True, "no CPU needed")]
