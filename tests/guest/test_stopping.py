# SPDX-License-Identifier: GPL-2.0-or-later
"""Who ends a run from outside: signals, threads, the machine's owner."""

from __future__ import annotations

import _thread
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from hyperport import EngineError, GuestExit, MemoryBackend, Quit, StopKind, Timeout
from hyperport.errors import ThreadError

from ..conftest import LIMIT_S, built_in, command


@pytest.mark.parametrize("word", ["hang", "waits"])
@pytest.mark.parametrize("interrupt", [_thread.interrupt_main, lambda: os.kill(os.getpid(), signal.SIGINT)])
def test_ctrl_c_comes_out_of_run(word: str, interrupt: Callable[[], None]) -> None:
    """While guest code runs, and while the guest waits in HLT (echo waits for input)."""
    with built_in("outcome", "hang") if word == "hang" else built_in("echo") as machine:
        for _ in range(2):
            later = threading.Timer(0.1, interrupt)
            later.start()
            with pytest.raises(KeyboardInterrupt):
                machine.run(timeout=LIMIT_S)
            later.join()
            assert machine.run(timeout=0.05) == Timeout(0.05)  # nothing of the signal is left


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_signal_ends_the_command(signum: signal.Signals, status: int) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        command("outcome", "--append", "hang"),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as child:
        watchdog = threading.Timer(LIMIT_S, child.kill)
        watchdog.start()
        assert child.stdout is not None
        assert child.stdout.readline() == b"outcome: hang\r\n"
        child.send_signal(signum)
        _, errors = child.communicate()
        watchdog.cancel()
    assert child.returncode == status
    assert errors == f"hyperport: stopped by {signum.name} (status {status})\n".encode()


def test_other_threads_run_while_the_guest_does() -> None:
    """The guest never stops by itself and the machine has no timeout: the thread must get the GIL to end the run."""
    with built_in("outcome", "hang") as machine:

        def work_then_stop() -> None:
            assert sum(range(1_000_000)) == 499_999_500_000
            machine.request_stop(StopKind.QUIT)

        worker = threading.Thread(target=work_then_stop)
        worker.start()
        assert machine.run() == Quit()
        worker.join()


def test_stop_that_was_asked_for_before_the_run() -> None:
    with built_in("demo") as machine:
        machine.request_stop(StopKind.QUIT)
        assert machine.run(timeout=LIMIT_S) == Quit()
        assert machine.run(timeout=LIMIT_S) == GuestExit(0)


def test_run_is_refused_while_the_guest_runs() -> None:
    console = MemoryBackend()
    refused: list[BaseException] = []
    with built_in("outcome", "hang", serial=console) as machine:

        def intrude() -> None:
            while b"hang" not in console.output():
                pass
            for action in (machine.engine.run, machine.close, lambda: machine.engine.set_state(state)):
                try:
                    action()
                except (EngineError, ThreadError) as error:
                    refused.append(error)
            machine.request_stop(StopKind.QUIT)

        state = machine.engine.state()
        intruder = threading.Thread(target=intrude)
        intruder.start()
        assert machine.run(timeout=LIMIT_S) == Quit()
        intruder.join()
    assert len(refused) == 3


@pytest.mark.parametrize(
    "action",
    [
        lambda machine: machine.run(timeout=1),
        lambda machine: machine.load(),
        lambda machine: machine.engine.state(),
    ],
)
def test_closed_machine_says_so(action: Callable[[Any], object]) -> None:
    with built_in("demo") as machine:
        assert machine.run(timeout=LIMIT_S) == GuestExit(0)
    with pytest.raises(EngineError, match="has been closed"):
        action(machine)


def test_closed_machine_can_still_be_looked_at() -> None:
    console = MemoryBackend()
    with built_in("demo", serial=console) as machine:
        assert machine.run(timeout=LIMIT_S) == GuestExit(0)
    machine.close()
    machine.memory.write(0x100000, bytes(1 << 20))
    machine.request_stop(StopKind.QUIT)
    assert console.feed(b"late") == 4
    assert machine.save_devices()["uart16550"]["lcr"] == 3
    with pytest.raises(EngineError, match="has been closed"):
        machine.engine.state()
