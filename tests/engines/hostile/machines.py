# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs hostile programs, each for some milliseconds. A group of them shares a machine: making one takes longer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from hyperport.machine.machine import Machine
from tests.engines.hostile.programs import GROUP, RAM, Program, path, program

RUN_S = 0.003
HUNG_S = 20.0  # CPU time of a run that should have ended after RUN_S; one that sleeps is found by the tool

# An interrupt every 100 us or so, as a guest could have set it: ICW1 to ICW4, mask, and the PIT's channel 0.
INTERRUPTS = ((0x20, 0x11), (0x21, 0x20), (0x21, 4), (0x21, 1), (0x21, 0xFE), (0x43, 0x34), (0x40, 120), (0x40, 0))
SYSTEM_PORT, A20 = 0x92, 2


class HostilityError(AssertionError):
    """A program got further than a guest may."""


def run(machine: Machine, program: Program) -> str:
    """The kind of outcome. Raises HostilityError if the engine gave up or did not stop in time."""
    machine.memory.clear()
    for address, data in program.memory:
        machine.memory.write(address, data[: RAM - address])
    machine.bus.outp(SYSTEM_PORT, 1, A20 if program.a20 else 0)
    for port, value in INTERRUPTS:
        machine.bus.outp(port, 1, value)
    machine.engine.set_state(program.state)
    began = time.thread_time()
    outcome = machine.run(timeout=RUN_S)
    took = time.thread_time() - began
    if outcome.kind == "engine-abort":
        raise HostilityError(f"the engine gave up: {outcome}")
    if took > HUNG_S:
        raise HostilityError(f"it ran for {took:.1f} CPU seconds")
    machine.engine.state()
    return outcome.kind


def run_all(seed: str, indices: Iterable[int], begins: Callable[[int], None]) -> dict[str, int]:
    """Run programs of a seed; begins() hears each index before. Returns how many there were of each outcome."""
    counts: dict[str, int] = {}
    machine, group = None, -1
    try:
        for index in indices:
            begins(index)
            if machine is None or index // GROUP != group:
                if machine is not None:
                    machine.close()
                group = index // GROUP
                machine = Machine(memory=RAM, engine="unicorn", io=path(seed, group))
            made = program(seed, index)
            try:
                kind = run(machine, made)
            except Exception as error:
                error.add_note(f"program {index} of seed {seed}: {made.title}")
                raise
            counts[kind] = counts.get(kind, 0) + 1
    finally:
        if machine is not None:
            machine.close()
    return counts
