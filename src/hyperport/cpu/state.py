# SPDX-License-Identifier: GPL-2.0-or-later
"""The register file of an i386 vCPU as plain data: what boot code sets, engines take and reports show."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Final

# Bits of a descriptor's second doubleword (SDM vol. 3, 3.4.5), as Segment.attributes holds them.
ACCESSED: Final = 1 << 8
WRITABLE: Final = 1 << 9  # data; readable for code
CODE: Final = 1 << 11
NOT_SYSTEM: Final = 1 << 12
PRESENT: Final = 1 << 15
DEFAULT_32: Final = 1 << 22  # D/B: 32-bit operands, addresses and stack
GRANULAR: Final = 1 << 23  # the limit counts pages

CR0_PE: Final = 1 << 0
CR0_ET: Final = 1 << 4
CR0_NW: Final = 1 << 29
CR0_CD: Final = 1 << 30
DR6_ONES: Final = 0xFFFF0FF0  # bits that are always set
DR7_ONES: Final = 1 << 10
PAT_RESET: Final = 0x0007040600070406
EFLAGS_ONE: Final = 1 << 1  # always set
EFLAGS_IF: Final = 1 << 9

REGISTERS: Final = ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi")  # by their number in encodings
SEGMENTS: Final = ("es", "cs", "ss", "ds", "fs", "gs")


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment register with its hidden part. limit is in bytes; attributes are descriptor bits 8 to 23."""

    selector: int = 0
    base: int = 0
    limit: int = 0xFFFF
    attributes: int = PRESENT | NOT_SYSTEM | WRITABLE | ACCESSED


@dataclass(frozen=True, slots=True)
class Table:
    """GDTR or IDTR: linear base and limit in bytes."""

    base: int = 0
    limit: int = 0xFFFF


@dataclass(frozen=True, slots=True)
class FpuState:
    """x87 and SSE, as after FNINIT. stack: ST(0) to ST(7), 10 bytes each; in_use: a bit for each register that is not
    empty, by its place in the file, not from the top; xmm: XMM0 to XMM7, 16 bytes each.

    opcode, code_at, data_at: of the last x87 instruction, as FXSAVE stores them, where the engine knows. told: FERR#
    has told the error that the status word holds.
    """

    control: int = 0x37F
    status: int = 0
    in_use: int = 0
    stack: tuple[bytes, ...] = (bytes(10),) * 8
    mxcsr: int = 0x1F80
    xmm: tuple[bytes, ...] = (bytes(16),) * 8
    opcode: int = 0
    code_at: int = 0
    data_at: int = 0
    told: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """An exception or an interrupt that the CPU has accepted, and whose handler it has not entered yet.

    error: the error code of an exception, None where it has none.
    """

    vector: int
    interrupt: bool = False
    error: int | None = None


CODE_16: Final = PRESENT | NOT_SYSTEM | CODE | WRITABLE | ACCESSED
DATA_16: Final = PRESENT | NOT_SYSTEM | WRITABLE | ACCESSED
CODE_32: Final = CODE_16 | DEFAULT_32 | GRANULAR
DATA_32: Final = DATA_16 | DEFAULT_32 | GRANULAR
SYSTEM_LDT: Final = PRESENT | 2 << 8
SYSTEM_TSS_BUSY: Final = PRESENT | 11 << 8


@dataclass(slots=True, kw_only=True)
class CpuState:
    """All that the vCPU's guest-visible state is. Numbers are unsigned 32-bit; pat, tsc and tsc_adjust have 64 bits.

    halted: the vCPU sits in HLT, behind which eip points. interrupt_shadow: the last instruction was an STI or a load
    of SS, and holds interrupts off for one more. event: what is still to be delivered. tsc: the time-stamp counter;
    None: it stays as it is. begun: a clock of instructions has counted the one at eip already, a string that is half
    done. tsc_adjust: what the guest has added to it, an MSR.
    """

    eax: int = 0
    ecx: int = 0
    edx: int = 0
    ebx: int = 0
    esp: int = 0
    ebp: int = 0
    esi: int = 0
    edi: int = 0
    eip: int = 0
    eflags: int = EFLAGS_ONE
    es: Segment = field(default_factory=Segment)
    cs: Segment = field(default_factory=lambda: Segment(attributes=CODE_16))
    ss: Segment = field(default_factory=Segment)
    ds: Segment = field(default_factory=Segment)
    fs: Segment = field(default_factory=Segment)
    gs: Segment = field(default_factory=Segment)
    ldtr: Segment = field(default_factory=lambda: Segment(attributes=SYSTEM_LDT))
    tr: Segment = field(default_factory=lambda: Segment(attributes=SYSTEM_TSS_BUSY))
    gdtr: Table = field(default_factory=Table)
    idtr: Table = field(default_factory=lambda: Table(limit=0x3FF))
    cr0: int = CR0_ET
    cr2: int = 0
    cr3: int = 0
    cr4: int = 0
    efer: int = 0
    sysenter_cs: int = 0
    sysenter_esp: int = 0
    sysenter_eip: int = 0
    halted: bool = False
    interrupt_shadow: bool = False
    fpu: FpuState = field(default_factory=FpuState)
    dr0: int = 0
    dr1: int = 0
    dr2: int = 0
    dr3: int = 0
    dr6: int = DR6_ONES
    dr7: int = DR7_ONES
    pat: int = PAT_RESET
    tsc: int | None = None
    tsc_adjust: int = 0
    event: Event | None = None
    begun: bool = False

    def describe(self) -> str:
        """The registers in four lines, for reports of a guest that died."""
        rows = (
            REGISTERS[:4],
            REGISTERS[4:],
            ("eip", "eflags", "cr0", "cr2", "cr3", "cr4"),
        )
        lines = [" ".join(f"{name} {getattr(self, name):08x}" for name in row) for row in rows]
        lines.append(" ".join(f"{name} {getattr(self, name).selector:04x}" for name in (*SEGMENTS, "tr", "ldtr")))
        return "\n".join(lines)

    def differences(self, other: CpuState) -> list[str]:
        """Names of the fields in which two states differ, but for the time-stamp counter, which runs."""
        return [f.name for f in fields(self) if f.name != "tsc" and getattr(self, f.name) != getattr(other, f.name)]


def protected_flat(*, eip: int, code: int = 0x10, data: int = 0x18, gdtr: Table | None = None) -> CpuState:
    """32-bit protected mode, paging off, interrupts off, all segments flat over 4 GiB with these selectors."""
    flat = Segment(data, 0, 0xFFFFFFFF, DATA_32)
    return CpuState(
        eip=eip,
        cr0=CR0_ET | CR0_PE,
        cs=Segment(code, 0, 0xFFFFFFFF, CODE_32),
        ds=flat,
        es=flat,
        ss=flat,
        fs=flat,
        gs=flat,
        gdtr=gdtr or Table(0, 0),
        idtr=Table(0, 0),
    )


def real_mode(*, cs: int, ip: int, data: int = 0, sp: int = 0) -> CpuState:
    """Real mode at cs:ip with all data segments at selector data, interrupts off."""
    segment = Segment(data, data << 4)
    return CpuState(
        eip=ip,
        esp=sp,
        cs=Segment(cs, cs << 4, 0xFFFF, CODE_16),
        ds=segment,
        es=segment,
        ss=segment,
        fs=segment,
        gs=segment,
    )


def at_reset(*, edx: int = 0) -> CpuState:
    """What RESET leaves (SDM vol. 3, 9.1.1): real mode at FFFFFFF0h, caches off, edx: the CPU's signature."""
    return CpuState(
        eip=0xFFF0,
        edx=edx,
        cr0=CR0_CD | CR0_NW | CR0_ET,
        cs=Segment(0xF000, 0xFFFF0000, 0xFFFF, CODE_16),
        idtr=Table(limit=0xFFFF),
    )
