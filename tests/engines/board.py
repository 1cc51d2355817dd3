# SPDX-License-Identifier: GPL-2.0-or-later
"""The least around an engine: RAM, an empty port bus, an interrupt controller, virtual time or another clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hyperport.bus.port_bus import PortBus
from hyperport.cpu.state import CpuState, protected_flat, real_mode
from hyperport.devices.pic8259 import Pic8259
from hyperport.engines import ENGINES
from hyperport.engines.base import Engine, Stop
from hyperport.io.exit import ExitPath
from hyperport.io.path import PortPath
from hyperport.lines.attention import Attention
from hyperport.lines.irq import IrqLine
from hyperport.memory.ram import GuestMemory
from hyperport.time.clock import Clock, VirtualClock

from ..conftest import MIB, machine_code

START = 0x1000  # where listings go
VECTOR_BASE = 0x20  # IRQ 0 of the controller


class Board:
    """An engine by name, with its parts as attributes."""

    def __init__(
        self,
        engine: str = "unicorn",
        memory: int = 2 * MIB,
        clock: Clock | None = None,
        path: Callable[[PortBus], PortPath] = ExitPath,
    ) -> None:
        self.memory = GuestMemory(memory)
        self.bus = PortBus()
        self.attention = Attention()
        self.clock: Any = clock or VirtualClock()
        self.pic = Pic8259(self.attention)
        self.controller = self.pic.pins()
        for offset, value in ((0, 0x11), (1, VECTOR_BASE), (1, 0x04), (1, 0x01), (1, 0x00)):  # ICW1 to ICW4, OCW1
            self.pic.write(offset, 1, value)
        factory: Any = ENGINES[engine].load()
        self.engine: Engine = factory(self.memory, path(self.bus), self.controller, self.attention, self.clock)

    def line(self, number: int) -> IrqLine:
        """A wire to the interrupt controller."""
        return IrqLine(self.controller, number)

    def protected(self, listing: str) -> Stop:
        """Run a listing in 32-bit protected mode with flat segments, to its HLT."""
        self.memory.write(START, machine_code(listing))
        self.engine.set_state(protected_flat(eip=START))
        return self.engine.run()

    def real(self, listing: str, vectors: dict[int, str] | None = None, sleep: bool = False) -> Stop:
        """Run a listing in real mode with handlers by vector, to its HLT. SP is 0x1000. sleep: see Engine.run()."""
        at = 0x800
        for vector, handler in (vectors or {}).items():
            self.memory.write(at, machine_code(handler))
            self.memory.write(4 * vector, at.to_bytes(4, "little"))
            at += 0x40
        self.memory.write(START, machine_code(listing))
        self.engine.set_state(real_mode(cs=0, ip=START, sp=START))
        return self.engine.run(sleep=sleep)

    def state(self) -> CpuState:
        """The registers."""
        return self.engine.state()

    def word(self, address: int, size: int = 4) -> int:
        """A little-endian number from memory."""
        return int.from_bytes(self.memory.read(address, size), "little")
