# SPDX-License-Identifier: GPL-2.0-or-later
from hyperport.bus.attributes import PortAttributes
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

class KvmEngine:
    name: str
    paths: tuple[str, ...]
    path: PortPath
    irqchip: bool
    entries: int
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
        cpuid_leaves: dict[int, tuple[int, int, int, int]] | None = None,
    ) -> None: ...
    def coalesce(self, attributes: PortAttributes) -> None: ...
    def signal_on_write(self, port: int, size: int, eventfd: int) -> None: ...
    def state(self) -> CpuState: ...
    def set_state(self, state: CpuState) -> None: ...
    def counters(self) -> EngineCounters: ...
    def close(self) -> None: ...
