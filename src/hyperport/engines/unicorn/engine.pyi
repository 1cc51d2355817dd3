# SPDX-License-Identifier: GPL-2.0-or-later
from hyperport.cpu.cpuid import Leaf
from hyperport.cpu.state import CpuState
from hyperport.engines.base import EngineCounters, Stop
from hyperport.io.hypercall import CallTable
from hyperport.io.path import PortPath
from hyperport.lines.attention import Attention
from hyperport.lines.interrupt_controller import InterruptController
from hyperport.lines.irq import IrqLine
from hyperport.lines.listener import Listener
from hyperport.memory.ram import GuestMemory
from hyperport.time.clock import Clock

class UnicornEngine:
    name: str
    paths: tuple[str, ...]
    path: PortPath
    dead: str | None
    def __init__(
        self,
        memory: GuestMemory,
        path: PortPath,
        controller: InterruptController,
        attention: Attention,
        clock: Clock,
    ) -> None: ...
    def listen(self, listener: Listener) -> None: ...
    def run(self) -> Stop: ...
    def look_up(self) -> None: ...
    @property
    def halted(self) -> bool: ...
    @property
    def interrupts_enabled(self) -> bool: ...
    @property
    def a20_pin(self) -> Listener: ...
    def connect_ferr(self, line: IrqLine) -> None: ...
    def offer(
        self,
        calls: CallTable,
        rom_base: int = 0,
        doorbells: dict[int, int] | None = None,
        cpuid_leaves: dict[int, Leaf] | None = None,
    ) -> None: ...
    def state(self) -> CpuState: ...
    def set_state(self, state: CpuState) -> None: ...
    def counters(self) -> EngineCounters: ...
    def close(self) -> None: ...
