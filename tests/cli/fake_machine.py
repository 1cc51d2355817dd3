# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine without a CPU, behind the real command line. Its "guest" is chosen by the kernel's command line.

    echo        sends back what it hears; leaves with value 5 when it hears "!", raises when it hears "?"
    hang        never looks at a request to stop
    exit=N      GuestExit(N)
    fault       a triple fault
    raise       a device in Python raises
    refuse      the machine cannot be built
    ports       accesses some ports, then powers off

Run as a program, it is `hyperport` with this machine and two known guests.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Self

from hyperport.bus.port_bus import PortBus
from hyperport.cpu.state import CpuState
from hyperport.errors import ConfigError, FetchError
from hyperport.guests.registry import FetchedGuest
from hyperport.host.char import CharBackend
from hyperport.host.packet import PacketBackend
from hyperport.lines.attention import Attention, StopKind
from hyperport.machine.config import MachineConfig
from hyperport.machine.drives import Drives
from hyperport.machine.statistics import run_statistics
from hyperport.outcome import GuestExit, Interrupted, Outcome, PowerOff, Quit, Timeout, TripleFault
from hyperport.time.clock import RealClock

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.host.watching import WatcherThread


class Scratch:
    """A device of one readable and writable byte."""

    name = "scratch"
    span = 1

    def __init__(self) -> None:
        self.value = 0x5A

    def read(self, offset: int, size: int) -> int:
        return self.value

    def write(self, offset: int, size: int, value: int) -> None:
        self.value = value


class FakeEngine:
    name = "fake"

    def state(self) -> CpuState:
        return CpuState(eip=0x1234, eax=0xCAFE)


class Machine:
    built: list[Machine] = []  # noqa: RUF012 - the test looks at the last one

    def __init__(
        self,
        config: MachineConfig | None = None,
        *,
        serial: Sequence[CharBackend] = (),
        debugcon: CharBackend | None = None,
        parallel: CharBackend | None = None,
        cables: Sequence[PacketBackend] = (),
    ) -> None:
        given = config or MachineConfig()
        self.config = replace(given, engine="fake") if given.engine == "auto" else given
        if self.config.append == "refuse":
            raise ConfigError("this machine cannot be built")
        self.serial = serial[0] if serial else CharBackend()
        self.debugcon = debugcon or CharBackend()
        self.cables = cables
        self.attention = Attention()
        self.clock = RealClock()
        for backend in (self.serial, self.debugcon):
            backend.connect(self.attention, self.clock)
        self.bus = PortBus()
        self.bus.attach(Scratch(), 0x300)
        self.engine = FakeEngine()
        self.drives = Drives()
        self.events = WatcherThread()
        self.events.__enter__()
        self.built.append(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.events.__exit__()

    def request_stop(self, kind: StopKind, value: int = 0) -> None:
        self.attention.stop(kind, value)

    def run(self, timeout: float | None = None, monitor: Callable[[Any], str] | None = None) -> Outcome:
        guest, _, value = self.config.append.partition("=")
        match guest:
            case "exit":
                self.serial.emit(b"hello\r\n")
                return GuestExit(int(value))
            case "fault":
                return TripleFault(CpuState(eip=0x7C00))
            case "raise":
                raise ZeroDivisionError("a device in Python went wrong")
            case "ports":
                self.bus.outp(0x300, 1, 0x41)
                for _ in range(3):
                    self.bus.inp(0x3FD)
                self.bus.outp_block(0x300, 1, b"ab")
                return PowerOff()
        self.serial.emit(b"%s is ready\r\n" % guest.encode())
        while guest == "hang":
            time.sleep(0.05)
        end = None if timeout is None else time.monotonic() + timeout
        while end is None or time.monotonic() < end:
            kind, number, _, _ = self.attention.take_stop()
            if kind == StopKind.SIGNAL:
                return Interrupted(number)
            if kind == StopKind.QUIT or (kind == StopKind.PAUSE and monitor and monitor(self) == "quit"):
                return Quit()
            while (byte := self.serial.take()) is not None:
                if byte == ord("!"):
                    return GuestExit(5)
                if byte == ord("?"):
                    raise ZeroDivisionError("a device in Python went wrong")
                self.serial.emit(b"<%02x>" % byte)
            self.clock.fire_due()
            time.sleep(0.005)
        return Timeout(timeout or 0)

    def stats(self, outcome: Outcome) -> dict[str, Any]:
        counts = self.bus.counts()
        return run_statistics(
            outcome,
            wall_s=1,
            cpu_s=0.5,
            engine="fake",
            io="exit",
            exceptions={"14": 2},
            irqs={},
            hlts=3,
            counts=counts,
            calls={},
            exitless={},
        )


@dataclass
class FakeGuest:
    name: str
    description: str
    kernel: Path = Path("/vmlinuz")
    initrd: Path | None = None
    append: str = "exit=0"
    memory: int = 8 << 20
    screen: str = ""
    testdev: bool = False
    need: Any = None
    word: str = "kernel"
    settings = FetchedGuest.settings


GUESTS = {guest.name: guest for guest in (FakeGuest("tiny", "small"), FakeGuest("far", "to be fetched"))}


def locate(name: str) -> FakeGuest:
    if name not in GUESTS:
        raise ConfigError(f"guest {name!r}: not known")
    if name == "far":
        raise FetchError("guest far: get it with: hyperport fetch far")
    return GUESTS[name]


class FakeCheck:
    def __init__(self, name: str, ok: bool, detail: str) -> None:
        self.name, self.ok, self.detail = name, ok, detail


class FakeEngineEntry:
    name = "fake"
    summary = "plays a guest"
    checks = (FakeCheck("library", True, "fake 1.0"),)

    @classmethod
    def check(cls) -> list[FakeCheck]:
        return list(cls.checks)


def fetch(*names: str, folder: Path | None = None) -> None:
    """Fetch nothing."""


def modules() -> dict[str, ModuleType]:
    """What stands in for the real modules, by name."""
    contents: dict[str, dict[str, Any]] = {
        "hyperport.machine.machine": {"Machine": Machine},
        "hyperport.machine.build": {"offered_by": lambda _config: ()},
        "hyperport.guests.registry": {
            "GUESTS": GUESTS,
            "locate": locate,
            "cache_directory": lambda: Path("/tmp/cache"),
        },
        "hyperport.cli.fetch": {"fetch": fetch},
        "hyperport.engines": {
            "PREFERRED": "kvm",
            "ENGINES": {"unicorn": FakeEngineEntry, "kvm": FakeEngineEntry},
            "automatic": lambda *_: (FakeEngineEntry, "there is no other"),
        },
    }
    made = {}
    for name, names in contents.items():
        made[name] = ModuleType(name)
        vars(made[name]).update(names)
    return made


if __name__ == "__main__":
    sys.modules.update(modules())
    from hyperport.cli.main import main

    sys.exit(main())
