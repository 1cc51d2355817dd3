# SPDX-License-Identifier: GPL-2.0-or-later
"""The least guest that shows an exception: a GDT, an IDT whose handlers halt, and one listing in between."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from hyperport.bus.port_bus import PortBus
from hyperport.cpu.state import CpuState, Segment, Table, protected_flat
from hyperport.engines import ENGINES
from hyperport.io.exit import ExitPath
from hyperport.io.trap import TrapPath
from hyperport.lines.attention import Attention, StopKind
from hyperport.lines.interrupt_controller import InterruptController
from hyperport.memory.ram import GuestMemory
from hyperport.time.clock import VirtualClock

from ...conftest import MIB, machine_code

PATHS: Final = {"exit": ExitPath, "trap": TrapPath}
START: Final = 0x10000
STACK: Final = 0x8000
HANDLERS: Final = 0x2000  # 16 bytes for each vector
IDT: Final = 0x3000
GDT: Final = 0x4000
CODE, DATA, SPARE, USER_CODE, USER_DATA = 0x08, 0x10, 0x18, 0x2B, 0x33
DE, DB, BP, OF, BR, UD, NM, DF, NP, SS, GP, PF, MF, XM = 0, 1, 3, 4, 5, 6, 7, 8, 11, 12, 13, 14, 16, 19
WITH_ERROR: Final = (8, 10, 11, 12, 13, 14, 17)
CR0_PE, CR0_MP, CR0_NE = 1, 2, 0x20
CR4_DE, CR4_OSFXSR, CR4_OSXMMEXCPT = 8, 0x200, 0x400
BY_DEFAULT: Final = CR4_DE | CR4_OSFXSR | CR4_OSXMMEXCPT


def descriptor(base: int = 0, limit: int = 0xFFFFFFFF, access: int = 0x93, *, big: bool = True) -> bytes:
    """A segment descriptor; limits of more than a MiB are counted in pages."""
    pages = limit > 0xFFFFF
    limit = limit >> 12 if pages else limit
    flags = 0x8 * pages | 0x4 * big
    return struct.pack(
        "<HHBBBB", limit & 0xFFFF, base & 0xFFFF, base >> 16 & 0xFF, access, flags << 4 | limit >> 16, base >> 24
    )


@dataclass(frozen=True)
class End:
    """How a listing ended. vector: of its exception, None at its HLT. The frame's words are 0 there."""

    vector: int | None
    error: int
    eip: int
    eflags: int
    state: CpuState

    @property
    def offset(self) -> int:
        """EIP from the start of the listing."""
        return self.eip - START


class CpuGuest:
    """One CPU with flat segments. segments: descriptors from selector 18h on."""

    def __init__(self, io: str = "exit") -> None:
        self.memory = GuestMemory(2 * MIB)
        self.bus = PortBus()
        factory: Any = ENGINES["unicorn"].load()
        self.engine = factory(self.memory, PATHS[io](self.bus), InterruptController(), Attention(), VirtualClock())

    def close(self) -> None:
        self.engine.close()

    def run(
        self,
        listing: str | bytes,
        *,
        cr4: int = BY_DEFAULT,
        eflags: int = 2,
        segments: Mapping[int, bytes] | None = None,
        ring: int = 0,
        registers: Mapping[str, int] | None = None,
    ) -> End:
        """Run a listing, to which a HLT is added, up to it or its first exception."""
        code = machine_code(listing) if isinstance(listing, str) else listing
        self.memory.write(START, code + b"\xf4")
        table = {
            0: bytes(8),
            CODE: descriptor(access=0x9B),
            DATA: descriptor(),
            0x28: descriptor(access=0xFB),
            0x30: descriptor(access=0xF3),
            0x38: struct.pack("<HHBBBB", 0x67, 0x5000, 0, 0x89, 0, 0),
            **(segments or {}),
        }
        for selector, content in table.items():
            self.memory.write(GDT + selector, content)
        self.memory.write(0x5000, struct.pack("<3I", 0, STACK, DATA).ljust(0x68, b"\0"))  # TSS: ESP0, SS0
        for vector in range(32):
            at = HANDLERS + 16 * vector
            push = b"" if vector in WITH_ERROR else b"\x6a\x00"
            self.memory.write(at, push + bytes((0x6A, vector)) + b"\xf4")
            self.memory.write(IDT + 8 * vector, struct.pack("<HHHH", at, CODE, 0x8E00, 0))
        state = protected_flat(eip=START)
        state.esp = STACK
        state.cr0 = CR0_PE | CR0_MP | CR0_NE
        state.cr4 = cr4
        state.eflags = eflags | 2
        state.gdtr = Table(GDT, 0xFF)
        state.idtr = Table(IDT, 0xFF)
        state.tr = Segment(0x38, 0x5000, 0x67, 1 << 15 | 11 << 8)
        if ring == 3:
            state.cs = Segment(USER_CODE, 0, 0xFFFFFFFF, 0xC0FB00)
            for name in ("ds", "es", "ss", "fs", "gs"):
                setattr(state, name, Segment(USER_DATA, 0, 0xFFFFFFFF, 0xC0F300))
        for name, value in (registers or {}).items():
            setattr(state, name, value)
        before = self.engine.state()
        for name in ("dr0", "dr1", "dr2", "dr3", "dr6", "dr7"):  # a run goes on with those of the one before
            setattr(state, name, getattr(before, name))
        self.engine.set_state(state)
        stop = self.engine.run()
        assert stop.kind == StopKind.HALT, stop
        return self.ended()

    def ended(self) -> End:
        """Where the CPU halted."""
        state: CpuState = self.engine.state()
        if not HANDLERS <= state.eip < HANDLERS + 512:
            return End(None, 0, state.eip, state.eflags, state)
        frame = struct.unpack("<5I", self.memory.read(state.esp, 20))
        return End(frame[0], frame[1], frame[2], frame[4], state)

    def vector(self, listing: str | bytes, **options: Any) -> int | None:
        """The vector of its exception; None if it comes to its end."""
        return self.run(listing, **options).vector

    def word(self, address: int, size: int = 4) -> int:
        return int.from_bytes(self.memory.read(address, size), "little")
