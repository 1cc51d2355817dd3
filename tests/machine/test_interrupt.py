# SPDX-License-Identifier: GPL-2.0-or-later
"""A run leaves nothing behind in the interpreter."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from hyperport import Machine, Quit, StopKind
from hyperport.cpu.state import real_mode
from hyperport.machine import run as loop
from hyperport.machine.interrupt import Interrupter, Unresponsive

UNDER_A_PROFILER = """\
import cProfile
from hyperport import Device, Machine
from hyperport.guests.registry import locate

class Stuck(Device):
    def write(self, offset, size, value):
        while True:
            pass

def run(timeout, **more):
    with Machine(engine="unicorn", **more) as machine:
        if timeout < 1:
            machine.attach(Stuck(), 0x300)
        return machine.run(timeout=timeout)

open("image", "wb").write(bytes.fromhex("ba0003 ee f4"))  # mov dx, 0x300; out dx, al; hlt
profile = cProfile.Profile()
profile.enable()
for _ in range(3):
    print(run(0.1, kernel="image", flat=(0x7C00, "real")).kind, run(60, kernel=locate("demo").kernel).kind)
profile.disable()
"""


def test_runs_end_under_a_profiler_and_after_a_device_was_interrupted(tmp_path: object) -> None:
    command = [sys.executable, "-c", UNDER_A_PROFILER]
    done = subprocess.run(command, cwd=str(tmp_path), capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.split() == ["timeout", "guest-exit"] * 3, done.stderr


def _loop() -> None:
    while True:
        pass


def test_what_was_raised_does_not_arrive_after_the_end() -> None:
    interrupter = Interrupter(frozenset(), lambda: True)
    interrupter.request()
    with pytest.raises(Unresponsive):
        _loop()
    interrupter.end()
    for _ in range(100_000):  # nothing comes
        pass


def test_a_pause_that_interrupts_code_is_still_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the interrupter raises may come out of the run loop while a PAUSE waits: the run goes on to it."""
    plain = loop.run
    came: list[int] = []
    monitored: list[int] = []

    def run(machine: Any, monitor: Any) -> Any:
        came.append(1)
        if len(came) == 1:
            machine.attention.stop(StopKind.PAUSE)
            raise Unresponsive
        return plain(machine, monitor)

    def monitor(machine: Machine) -> str:
        monitored.append(1)
        return "quit"

    monkeypatch.setattr(loop, "run", run)
    with Machine(engine="unicorn", memory="2M") as machine:
        machine.memory.write(0x1000, b"\xeb\xfe")
        machine.engine.set_state(real_mode(cs=0, ip=0x1000))
        assert machine.run(timeout=30, monitor=monitor) == Quit()
    assert (len(came), monitored) == (2, [1])
