# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest of fifty bytes that touches everything the engine takes from the private layout, and its expected end."""

from __future__ import annotations

from typing import Final

from hyperport.bus.port_bus import PortBus
from hyperport.cpu.state import CpuState, Segment, Table, real_mode
from hyperport.engines.unicorn.engine import UnicornEngine
from hyperport.errors import EngineError
from hyperport.io.exit import ExitPath
from hyperport.lines.attention import Attention, StopKind
from hyperport.lines.interrupt_controller import InterruptController
from hyperport.memory.ram import GuestMemory
from hyperport.time.clock import VirtualClock

# Real mode at 0:1000. Exceptions and INT n go through the IVT to handlers that count in memory.
PROGRAM: Final = bytes.fromhex(
    "31c0"  # xor ax, ax
    "8ed8"  # mov ds, ax
    "8ed0"  # mov ss, ax
    "bc0010"  # mov sp, 0x1000
    "cd21"  # int 0x21            -> counts at 0x500
    "0f0b"  # ud2                 -> counts at 0x504, steps over it
    "b041"  # mov al, 0x41
    "e6e9"  # out 0xe9, al
    "e4e9"  # in al, 0xe9         -> 0xff, nobody home
    "a20805"  # mov [0x508], al
    "f0ec"  # lock in al, dx      -> counts at 0x504, steps over it: code_filter.pyx finds opcodes in mid-block
    "8fc8"  # no instruction      -> counts at 0x504, steps over it: cpu/undefined.pyx is asked
    "c606001190"  # mov byte [0x1100], 0x90   a store beside code
    "f4"  # hlt
)
HANDLERS: Final = {
    0x21: bytes.fromhex("ff060005cf"),  # inc word [0x500]; iret
    0x06: bytes.fromhex("ff060405558bec834602025dcf"),  # inc word [0x504]; add word [bp+2], 2; iret
}
HANDLER_AT: Final = 0x800


def self_test() -> None:
    """Run the program; EngineError if anything differs from what an i386 does."""
    memory = GuestMemory(2 << 20)
    bus = PortBus()
    attention = Attention()
    engine = UnicornEngine(memory, ExitPath(bus), InterruptController(), attention, VirtualClock())
    try:
        memory.write(0x1000, PROGRAM)
        at = HANDLER_AT
        for vector, code in HANDLERS.items():
            memory.write(at, code)
            memory.write(4 * vector, at.to_bytes(2, "little") + b"\0\0")
            at += 64
        engine.set_state(real_mode(cs=0, ip=0x1000))
        stop = engine.run()
        state: CpuState = engine.state()
        seen = (
            stop.kind,
            memory.read(0x500, 2),
            memory.read(0x504, 2),
            memory.read(0x508, 1),
            state.eip,
            state.esp,
            [(count.port, count.accesses) for count in bus.counts()],
        )
        wanted = (
            StopKind.HALT,
            b"\x01\x00",
            b"\x03\x00",
            b"\xff",
            0x1000 + len(PROGRAM),
            0x1000,
            [(0xE9, 1), (0xE9, 1)],
        )
        if seen != wanted:
            raise EngineError(
                f"unicorn's self-test went wrong: got {seen}, expected {wanted}; reinstall unicorn==2.1.4"
            )
        _check_registers(engine)
    finally:
        engine.close()


def _check_registers(engine: UnicornEngine) -> None:
    """What is loaded must read back: every offset of the register file at once."""
    numbers = iter(range(0x1110, 0x2000, 0x11))
    loaded = real_mode(cs=0x1234, ip=0x5678)
    for name in ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "cr2", "sysenter_cs", "sysenter_esp"):
        setattr(loaded, name, next(numbers))
    loaded.sysenter_eip = next(numbers)
    loaded.eflags = 0x4D7 | 1 << 9
    loaded.gdtr = Table(0x11000, 0x7F)
    loaded.idtr = Table(0x12000, 0x3FF)
    loaded.tr = Segment(0x28, 0x13000, 0x67, 1 << 15 | 11 << 8)
    engine.set_state(loaded)
    differences = loaded.differences(engine.state())
    if differences:
        raise EngineError(f"unicorn's self-test went wrong in {', '.join(differences)}; reinstall unicorn==2.1.4")
