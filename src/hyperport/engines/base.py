# SPDX-License-Identifier: GPL-2.0-or-later
"""What every engine is to the run loop: something that runs guest code until it has to say why it stopped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from hyperport.cpu.state import CpuState
from hyperport.lines.attention import StopKind

if TYPE_CHECKING:
    from hyperport.abi.convention import Image

# Linear addresses of the first byte and behind the last, of instructions in a row; how often they were begun.
CodeCount = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Stop:
    """Why Engine.run() returned. value belongs to GUEST_EXIT, failure to DEVICE_ERROR, text explains.

    state: the registers at an ENGINE_ABORT, where the engine can still tell them.
    """

    kind: StopKind
    value: int = 0
    failure: BaseException | None = None
    text: str | None = None
    state: CpuState | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One line of `hyperport doctor`."""

    name: str
    ok: bool
    detail: str


@dataclass(slots=True)
class EngineCounters:
    """What an engine counted since power-on. Keys are vectors."""

    exceptions: dict[int, int] = field(default_factory=dict)
    software_interrupts: dict[int, int] = field(default_factory=dict)
    interrupts: dict[int, int] = field(default_factory=dict)
    hlts: int = 0
    mmio: int = 0


class Engine(Protocol):
    """A vCPU and the code that runs it. Made by the machine, used by the run loop, on one thread at a time."""

    name: str
    paths: tuple[str, ...]  # which --io values it can serve
    guard: Any  # asked before look_up(): see machine/guard.py; None: whoever comes

    def run(self, sleep: bool = False) -> Stop:
        """Run the guest from where it is, without the GIL, until something must be decided outside.

        sleep: an engine that can lets its vCPU sleep in HLT by itself, for a tenth of a second from here; then, for a
        signal and for a stop it comes back. Others come back at each HLT.
        """

    def state(self) -> CpuState:
        """All registers. Only while the guest is stopped."""

    def set_state(self, state: CpuState) -> None:
        """Load all registers. Only while the guest is stopped."""

    def counters(self) -> EngineCounters:
        """What was counted since power-on."""

    def cover(self) -> None:
        """Count what code is executed, from now on. Raises EngineError where the engine cannot, or the guest runs."""

    def covered(self) -> tuple[list[CodeCount], int]:
        """What cover() has counted, in order of address, and how often code was begun for which there was no room."""

    @property
    def a20_pin(self) -> Any:
        """The Listener that hears the A20 line (input 0)."""

    def connect_ferr(self, line: Any) -> None:
        """Give the pin FERR# its wire: it rises with an x87 error while CR0.NE is clear, where the engine can tell."""

    @property
    def halted(self) -> bool:
        """True while the vCPU sits in HLT."""

    @property
    def interrupts_enabled(self) -> bool:
        """EFLAGS.IF."""

    def look_up(self) -> None:
        """What the engine does between blocks of guest code, for a vCPU in HLT: fire timers, move host input."""

    def listen(self, listener: Any) -> None:
        """Let a Listener hear on_input() when host input has arrived."""

    def offer(self, calls: Any, cpuid_leaves: Mapping[int, tuple[int, int, int, int]] | None = None) -> None:
        """Answer a CallTable's calls. cpuid_leaves: what CPUID shows besides the CPU, leaf -> (EAX, EBX, ECX, EDX)."""

    def take_images(self, images: Iterable[Image]) -> None:
        """Behind offer(): code that makes its calls. An engine that can makes them without running that code."""

    def close(self) -> None:
        """Give everything back to the host."""
