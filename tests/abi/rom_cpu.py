# SPDX-License-Identifier: GPL-2.0-or-later
"""A vCPU with paging on, the ROM mapped read-only at several linear addresses, and one CALL to run."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from hyperport.abi.numbers import ROM_BASE
from hyperport.bus.access import PortAccess
from hyperport.bus.port_bus import PortBus
from hyperport.cpu.state import CODE_32, DATA_32, CpuState, Segment, Table
from hyperport.engines.unicorn.engine import UnicornEngine
from hyperport.io.exit import ExitPath
from hyperport.lines.attention import Attention, StopKind
from hyperport.lines.interrupt_controller import InterruptController
from hyperport.memory.ram import GuestMemory
from hyperport.time.clock import VirtualClock

ALIASES: Final = (ROM_BASE, 0xC0000000 + ROM_BASE, 0x40123000, 0xFFFFF000)  # as Linux sees it: the second
PAGE: Final = 4096
MEMORY: Final = 2 << 20

DIRECTORY: Final = 0x1000
TABLES: Final = (0x2000, 0x3000, 0x4000, 0x5000)  # one for each alias; the first maps all RAM to itself
GDT, TSS, IDT = 0x6000, 0x7000, 0x8000
STACK_0: Final = 0x9000
HANDLER, CODE, TARGET = 0xA000, 0xB000, 0xC000
USER_STACK: Final = 0xE000
STACK: Final = 0xF000
END: Final = CODE + 6  # INT 20h, behind the CALL
PROGRAM: Final = struct.pack("<2sI2s", b"\xff\x15", TARGET, b"\xcd\x20")  # call *TARGET; int $0x20

PRESENT, WRITABLE, USER = 1, 2, 4  # page table entries
CR0_PG_WP_PE: Final = 1 << 31 | 1 << 16 | 1 << 4 | 1
IOPL_1: Final = 1 << 12
IF: Final = 1 << 9

# SYSEXIT wants code 0, data 0, code 3, data 3 in this order (SDM vol. 2B, SYSEXIT).
SYSENTER_CS: Final = 0x10
SELECTORS: Final = {0: (0x10, 0x18), 1: (0x31, 0x39), 3: (0x23, 0x2B)}  # CPL -> code, data
TSS_SELECTOR: Final = 0x40
TSS_AVAILABLE: Final = 1 << 15 | 9 << 8  # 32-bit; the core keeps TR without the busy bit
GENERAL: Final = ("eax", "ecx", "edx", "ebx", "ebp", "esi", "edi")


@dataclass(frozen=True)
class Result:
    """The guest at its INT 20h: registers of GENERAL, and what the interrupt pushed."""

    registers: dict[str, int]
    eip: int
    cs: int
    eflags: int
    esp: int
    ss: int
    accesses: list[tuple[int, int]]  # (port, value) of every OUT


def attributes(code: bool, cpl: int) -> int:
    """Descriptor bits 8 to 23 of a flat segment."""
    return (CODE_32 if code else DATA_32) | cpl << 13


def descriptor(base: int, limit: int, bits: int) -> int:
    """SDM vol. 3, 3.4.5."""
    high = base & 0xFF000000 | limit & 0xF0000 | bits | base >> 16 & 0xFF
    return high << 32 | (base & 0xFFFF) << 16 | limit & 0xFFFF


class RomCpu:
    """Runs CALLs into a ROM."""

    def __init__(self, rom: bytes) -> None:
        self.memory = GuestMemory(MEMORY)
        self.bus = PortBus()
        self.accesses: list[tuple[int, int]] = []
        self.bus.observe(self.note)
        self.engine = UnicornEngine(self.memory, ExitPath(self.bus), InterruptController(), Attention(), VirtualClock())
        self.memory.write(ROM_BASE, rom)
        self.put_tables()

    def note(self, access: PortAccess) -> None:
        self.accesses.append((access.port, access.value))

    def put_tables(self) -> None:
        write = self.memory.write
        for linear, table in zip(ALIASES, TABLES, strict=True):
            write(DIRECTORY + 4 * (linear >> 22), struct.pack("<I", table | USER | WRITABLE | PRESENT))
        pages = [page | USER | WRITABLE | PRESENT for page in range(0, MEMORY, PAGE)]
        write(TABLES[0], struct.pack(f"<{len(pages)}I", *pages))
        for linear, table in zip(ALIASES, TABLES, strict=True):
            write(table + 4 * (linear >> 12 & 0x3FF), struct.pack("<I", ROM_BASE | USER | PRESENT))

        flat = [descriptor(0, 0xFFFFF, attributes(code, cpl)) for cpl in (0, 3, 1) for code in (True, False)]
        write(GDT, struct.pack("<9Q", 0, 0, *flat, descriptor(TSS, 103, TSS_AVAILABLE)))
        write(TSS + 4, struct.pack("<II", STACK_0, SELECTORS[0][1]))
        gate = (HANDLER & 0xFFFF, SELECTORS[0][0], 0xEE00, HANDLER >> 16)  # 32-bit interrupt gate, DPL 3
        write(IDT + 8 * 0x20, struct.pack("<4H", *gate))
        write(HANDLER, b"\xf4")  # hlt
        write(CODE, PROGRAM)

    def call(
        self, target: int, registers: dict[str, int] | None = None, *, cpl: int = 0, eflags: int = 2, frame: bytes = b""
    ) -> Result:
        """CALL target with the registers (others: 0) and frame on the stack, until the guest comes to END."""
        self.accesses.clear()
        esp = STACK - len(frame)
        self.memory.write(esp, frame)
        self.memory.write(TARGET, struct.pack("<I", target))
        code, data = SELECTORS[cpl]
        segment = Segment(data, 0, 0xFFFFFFFF, attributes(False, cpl))
        state = CpuState(
            eip=CODE,
            esp=esp,
            eflags=eflags,
            cs=Segment(code, 0, 0xFFFFFFFF, attributes(True, cpl)),
            ds=segment,
            es=segment,
            ss=segment,
            fs=segment,
            gs=segment,
            gdtr=Table(GDT, 9 * 8 - 1),
            idtr=Table(IDT, 0x21 * 8 - 1),
            tr=Segment(TSS_SELECTOR, TSS, 103, TSS_AVAILABLE),
            cr0=CR0_PG_WP_PE,
            cr3=DIRECTORY,
            sysenter_cs=SYSENTER_CS,
        )
        for name, value in (registers or {}).items():
            setattr(state, name, value)
        self.engine.set_state(state)
        stop = self.engine.run()
        assert stop.kind == StopKind.HALT, stop
        end = self.engine.state()
        assert end.eip == HANDLER + 1
        eip, cs, flags, *outer = struct.unpack("<5I", self.memory.read(end.esp, 20))
        if not cs & 3:
            outer = [end.esp + 12, SELECTORS[0][1]]  # an interrupt inside ring 0 does not push them
        general = {name: getattr(end, name) for name in GENERAL}
        return Result(general, eip, cs & 0xFFFF, flags, outer[0], outer[1] & 0xFFFF, list(self.accesses))
