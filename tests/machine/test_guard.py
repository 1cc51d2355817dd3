# SPDX-License-Identifier: GPL-2.0-or-later
"""Whose a machine is: the rows of docs/api-rules.md, from another thread and from another process."""

from __future__ import annotations

import multiprocessing
import os
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from hyperport import Device, EngineError, Machine, MemoryBackend, Quit, StopKind, ThreadError

from ..conftest import MIB

MARK: Final = 0x7D00
SPINS: Final = bytes.fromhex("2e c606007d01 ebfe")  # movb $1, %cs:MARK; jmp .
READS_PORT: Final = bytes.fromhex("ba0003 ec f4")  # mov $0x300, %dx; in (%dx), %al; hlt

WORKS: Final[dict[str, Callable[[Machine], object]]] = {
    "type": lambda machine: machine.type("a"),
    "feed": lambda machine: machine.consoles[0].feed(b"a"),
    "read of memory": lambda machine: machine.memory.read(0, 16),
    "counts": lambda machine: machine.bus.counts(),
    "map": lambda machine: machine.bus.map(),
    "owner": lambda machine: machine.bus.owner(0x20),
    "text of the screen": lambda machine: machine.display.text(),
}
REFUSED: Final[dict[str, Callable[[Machine], object]]] = {
    "write of memory": lambda machine: machine.memory.write(0, b"a"),
    "clear of memory": lambda machine: machine.memory.clear(),
    "inp": lambda machine: machine.bus.inp(0x80),
    "outp": lambda machine: machine.bus.outp(0x80, 1, 1),
    "inp_block": lambda machine: machine.bus.inp_block(0x80, 1, 2),
    "outp_block": lambda machine: machine.bus.outp_block(0x80, 1, b"ab"),
    "attach to the bus": lambda machine: machine.bus.attach(Device(), 0x310),
    "observe": lambda machine: machine.bus.observe(lambda _: None),
    "attach": lambda machine: machine.attach(Device(), 0x310),
    "load": lambda machine: machine.load(),
    "run": lambda machine: machine.run(),
    "look_up": lambda machine: machine.engine.look_up(),
}
OTHERWISE: Final[dict[str, Callable[[Machine], object]]] = {"close": lambda machine: machine.close()}


def machine_with(code: bytes, folder: Path) -> Machine:
    (folder / "guest.bin").write_bytes(code)
    return Machine(
        memory=MIB, engine="unicorn", kernel=folder / "guest.bin", flat=(0x7C00, "real"), serial=MemoryBackend()
    )


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Machine]:
    """A machine whose guest runs on another thread."""
    machine = machine_with(SPINS, tmp_path)
    outcomes: list[Any] = []
    thread = threading.Thread(target=lambda: outcomes.append(machine.run(timeout=60)))
    thread.start()
    while machine.memory.read(MARK, 1) != b"\x01":
        pass
    yield machine
    machine.request_stop(StopKind.QUIT)
    thread.join()
    assert outcomes == [Quit()], "the guest was not disturbed"
    machine.close()


@pytest.mark.parametrize("what", WORKS)
def test_works_from_another_thread(what: str, running: Machine) -> None:
    WORKS[what](running)


@pytest.mark.parametrize("what", REFUSED | OTHERWISE)
def test_is_refused_from_another_thread(what: str, running: Machine) -> None:
    with pytest.raises(ThreadError, match="the guest runs on another thread"):
        (REFUSED | OTHERWISE)[what](running)


def test_registers_are_not_loaded_while_the_guest_runs(running: Machine) -> None:
    with pytest.raises(EngineError):
        running.engine.set_state(running.engine.state())


@pytest.mark.parametrize("what", [what for what in REFUSED if what not in ("run", "load")])
def test_a_device_may_do_it(what: str, tmp_path: Path) -> None:
    """It is called on the thread that runs the guest."""

    class Does(Device):
        def read(self, offset: int, size: int) -> int:
            REFUSED[what](machine)
            return 0

    with machine_with(READS_PORT, tmp_path) as machine:
        machine.attach(Does(), 0x300)
        assert machine.run(timeout=60).kind in ("halted", "timeout", "triple-fault")


def test_another_thread_may_do_it_after_the_run(tmp_path: Path) -> None:
    failures: list[str] = []

    def use() -> None:
        try:
            machine.memory.clear()
            machine.load()
            assert machine.run(timeout=60).kind == "halted"
        except BaseException:
            failures.append(traceback.format_exc())

    with machine_with(READS_PORT, tmp_path) as machine:
        assert machine.run(timeout=60).kind == "halted"
        thread = threading.Thread(target=use)
        thread.start()
        thread.join()
    assert not failures


def test_a_fork_is_refused_and_leaves_the_parent_alone(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(MIB))
    with machine_with(READS_PORT, tmp_path) as machine:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                for what, call in REFUSED.items():
                    with pytest.raises(ThreadError, match="fork"):
                        call(machine)
                    assert what
                machine.close()
                status = 0
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert machine.run(timeout=60).kind == "halted"


def run_one(folder: str) -> str:
    with machine_with(READS_PORT, Path(folder)) as machine:
        return machine.run(timeout=60).kind


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_a_machine_made_in_another_process_runs_there(method: str, tmp_path: Path) -> None:
    with multiprocessing.get_context(method).Pool(2) as pool:
        folders = [tmp_path / name for name in "ab"]
        for folder in folders:
            folder.mkdir()
        assert pool.map(run_one, map(str, folders)) == ["halted", "halted"]


def test_a_machine_is_not_sent_to_another_process(tmp_path: Path) -> None:
    with machine_with(READS_PORT, tmp_path) as machine, pytest.raises(TypeError):
        multiprocessing.get_context("spawn").Process(target=Machine.run, args=(machine,)).start()
