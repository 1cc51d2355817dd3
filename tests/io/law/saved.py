# SPDX-License-Identifier: GPL-2.0-or-later
"""A batch of programs that is stopped in its middle, saved, and goes on in another process.

What the devices saw, what the consoles got and how memory ended must be what an unbroken run shows.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from hyperport import GuestExit, Machine, MemoryBackend, Timeout
from hyperport.abi.numbers import EXITLESS_BASE, Exitless
from hyperport.bus.access import PortAccess
from hyperport.devices.debugcon import Debugcon
from hyperport.devices.testdev import TestDevice
from hyperport.io import CALLED
from hyperport.lines.attention import StopKind
from hyperport.time.clock import VirtualClock

from ...guest.board import BIN
from .machines import FW_CFG, LIMIT_S, MIB, RESULTS, FirmwareConfiguration
from .programs import LOG_PORT, TEST_DEVICE_PORT, Program, encode_batch

ROOT: Final = Path(__file__).parents[3]


class KeptConfiguration(FirmwareConfiguration):
    """With what a saved machine needs of it."""

    def save(self) -> dict[str, Any]:
        selected = next((key for key, item in self.items.items() if item is self.item), None)
        return {"selected": selected, "at": self.at}

    def load(self, record: dict[str, Any]) -> None:
        self.item = self.items.get(record["selected"], b"")
        self.at = record["at"]


class Elements:
    """A checksum of every element that a device saw, in order. at: the number of accesses after which the run stops."""

    def __init__(self, machine: Machine, at: int | None) -> None:
        self.machine, self.at, self.seen, self.content = machine, at, 0, bytearray()

    def __call__(self, access: PortAccess) -> None:
        self.seen += 1
        size = access.size
        for start in range(0, len(access.data), size):
            self.content += bytes((int(access.direction), size)) + access.port.to_bytes(2, "little")
            self.content += access.data[start : start + size]
        if self.seen == self.at:
            self.machine.request_stop(StopKind.TIMEOUT)


@dataclass
class Shown:
    """What a run showed, or a part of one."""

    content: bytes
    log: bytes
    results: bytes
    memory: str
    accesses: int
    now: int


class Bench:
    """The consoles around one machine."""

    def __init__(self) -> None:
        self.log, self.results = (MemoryBackend(limit=1 << 31) for _ in range(2))

    def attach(self, machine: Machine) -> None:
        """What run_on_path() of machines.py attaches."""
        for port in range(LOG_PORT, LOG_PORT + 4):
            machine.attach(Debugcon(self.log), port)
        machine.attach(Debugcon(self.results), RESULTS)
        machine.attach(KeptConfiguration(), FW_CFG)
        machine.attach(TestDevice(), TEST_DEVICE_PORT)

    def shown(self, machine: Machine, elements: Elements) -> Shown:
        """All of it."""
        for backend in (self.log, self.results):
            backend.drain()
        return Shown(
            bytes(elements.content),
            self.log.output(),
            self.results.output(),
            hashlib.sha256(memory_of(machine)).hexdigest(),
            elements.seen,
            machine.clock.now_ns(),
        )


def memory_of(machine: Machine) -> bytes:
    """All of RAM, without what the VMM makes anew for a machine that is loaded: tables and ring of `exitless`."""
    spans = list(machine.memory.regions())
    if machine.exitless is not None:
        (last,) = (span for span in spans if span[0] <= EXITLESS_BASE < span[1])
        spans.remove(last)
        spans += [(last[0], EXITLESS_BASE), (EXITLESS_BASE + Exitless.END, last[1])]
    return b"".join(machine.memory.read(low, high - low) for low, high in spans)


def run_whole(programs: Sequence[Program], io: str, clock: str, directory: Path) -> Shown:
    """Without a stop. clock: virtual, or as for hyperport run."""
    machine, bench, elements = _begin(programs, io, clock, directory, None)
    with machine:
        assert machine.run(timeout=LIMIT_S) == GuestExit(0)
        return bench.shown(machine, elements)


def run_broken(programs: Sequence[Program], io: str, clock: str, directory: Path, at: int) -> Shown:
    """Stopped after so many accesses, saved, and ended by another process."""
    machine, bench, elements = _begin(programs, io, clock, directory, at)
    file, rest = directory / "machine.state", directory / "rest"
    with machine:
        outcome = machine.run(timeout=LIMIT_S)
        assert isinstance(outcome, Timeout), outcome
        machine.save(file)
        first = bench.shown(machine, elements)
    subprocess.run(
        [sys.executable, "-m", __name__, str(file), str(rest)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        timeout=LIMIT_S,
        check=True,
    )
    second = Shown(**msgspec.msgpack.decode(rest.read_bytes()))
    return Shown(
        first.content + second.content,
        first.log + second.log,
        first.results + second.results,
        second.memory,
        first.accesses + second.accesses,
        second.now,
    )


def _begin(
    programs: Sequence[Program], io: str, clock: str, directory: Path, at: int | None
) -> tuple[Machine, Bench, Elements]:
    batch = directory / "batch-saved"
    batch.write_bytes(encode_batch(programs))
    bench = Bench()
    machine = Machine(
        kernel=BIN / "lawguest.elf",
        append="vmi" if io in CALLED else "",
        memory=64 * MIB,
        engine="unicorn",
        io=io,
        modules=((batch, ""),),
        clock=VirtualClock() if clock == "virtual" else clock,
    )
    bench.attach(machine)
    elements = Elements(machine, at)
    machine.bus.observe(elements)
    return machine, bench, elements


def go_on(file: Path, rest: Path) -> None:
    """What the other process does."""
    bench = Bench()
    with Machine.restore(file, attach=bench.attach) as machine:
        elements = Elements(machine, None)
        machine.bus.observe(elements)
        outcome = machine.run(timeout=LIMIT_S)
        assert outcome == GuestExit(0), outcome
        rest.write_bytes(msgspec.msgpack.encode(vars(bench.shown(machine, elements))))


if __name__ == "__main__":
    go_on(Path(sys.argv[1]), Path(sys.argv[2]))
