# SPDX-License-Identifier: GPL-2.0-or-later
"""Every number that guests and VMM must agree on, once. guest/include/hyperport/abi.h is generated from this file.

Sources: the VMI specification ("VMI Interface Proposal Documentation for I386", parts 2 to 5, linux-kernel 2006-03-13)
with the call order of API 3.0 as Linux 2.6.21 to 2.6.36 and the I/O patch of 2007-08-22 use it; Linux,
Documentation/virt/kvm/x86/{cpuid,hypercalls}.rst; Linux 2.6.34, asm/lguest_hcall.h; Linux, Documentation/x86/boot.rst.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from hyperport.bus.access import Direction


@dataclass(frozen=True, slots=True)
class PortForm:
    """What a port call does: one element of size bytes (1, 2, 4), or a string of them as with REP."""

    direction: Direction
    size: int
    string: bool = False


@dataclass(frozen=True, slots=True)
class VmiCall:
    """A call of VMI API 3.0: its number, its name in the specification, and its form if it is port I/O."""

    number: int
    name: str
    port: PortForm | None = None


@dataclass(frozen=True, slots=True)
class PortRegisters:
    """Which 32-bit register holds what in a port call.

    port: bits 0 to 15, the others are ignored. value: what OUT writes, in its lowest size bytes. count: elements of a
    string. source (OUTS) and destination (INS): linear addresses, which advance upward or downward by EFLAGS.DF.
    result: what IN read, or how the call ended.
    """

    port: str
    value: str
    count: str
    source: str
    destination: str
    result: str


# VMI ---------------------------------------------------------------------------------------------------------------

VMI_API_MAJOR: Final = 3
VMI_API_MINOR: Final = 0


class Relocation(IntEnum):
    """Answers of get_reloc: DL, with the target in EAX."""

    NONE = 0  # not offered: the guest keeps its own code
    CALL_REL = 1  # CALL the target
    JUMP_REL = 2  # JMP to the target
    NOP = 3  # nothing needs to be done


_IN, _OUT = Direction.IN, Direction.OUT

# All calls of API 3.0; the place in the tuple is the number. The I/O groups go L, B, W.
VMI_CALLS: Final[tuple[VmiCall, ...]] = (
    VmiCall(0, "CPUID"),
    VmiCall(1, "WRMSR"),
    VmiCall(2, "RDMSR"),
    VmiCall(3, "SetGDT"),
    VmiCall(4, "SetLDT"),
    VmiCall(5, "SetIDT"),
    VmiCall(6, "SetTR"),
    VmiCall(7, "GetGDT"),
    VmiCall(8, "GetLDT"),
    VmiCall(9, "GetIDT"),
    VmiCall(10, "GetTR"),
    VmiCall(11, "WriteGDTEntry"),
    VmiCall(12, "WriteLDTEntry"),
    VmiCall(13, "WriteIDTEntry"),
    VmiCall(14, "UpdateKernelStack"),
    VmiCall(15, "SetCR0"),
    VmiCall(16, "SetCR2"),
    VmiCall(17, "SetCR3"),
    VmiCall(18, "SetCR4"),
    VmiCall(19, "GetCR0"),
    VmiCall(20, "GetCR2"),
    VmiCall(21, "GetCR3"),
    VmiCall(22, "GetCR4"),
    VmiCall(23, "WBINVD"),
    VmiCall(24, "SetDR"),
    VmiCall(25, "GetDR"),
    VmiCall(26, "RDPMC"),
    VmiCall(27, "RDTSC"),
    VmiCall(28, "CLTS"),
    VmiCall(29, "EnableInterrupts"),
    VmiCall(30, "DisableInterrupts"),
    VmiCall(31, "GetInterruptMask"),
    VmiCall(32, "SetInterruptMask"),
    VmiCall(33, "IRET"),
    VmiCall(34, "SYSEXIT"),
    VmiCall(35, "Halt"),
    VmiCall(36, "Reboot"),
    VmiCall(37, "Shutdown"),
    VmiCall(38, "SetPxE"),
    VmiCall(39, "SetPxELong"),
    VmiCall(40, "UpdatePxE"),
    VmiCall(41, "UpdatePxELong"),
    VmiCall(42, "MachineToPhysical"),
    VmiCall(43, "PhysicalToMachine"),
    VmiCall(44, "AllocatePage"),
    VmiCall(45, "ReleasePage"),
    VmiCall(46, "InvalPage"),
    VmiCall(47, "FlushTLB"),
    VmiCall(48, "SetLinearMapping"),
    VmiCall(49, "INL", PortForm(_IN, 4)),
    VmiCall(50, "INB", PortForm(_IN, 1)),
    VmiCall(51, "INW", PortForm(_IN, 2)),
    VmiCall(52, "INSL", PortForm(_IN, 4, string=True)),
    VmiCall(53, "INSB", PortForm(_IN, 1, string=True)),
    VmiCall(54, "INSW", PortForm(_IN, 2, string=True)),
    VmiCall(55, "OUTL", PortForm(_OUT, 4)),
    VmiCall(56, "OUTB", PortForm(_OUT, 1)),
    VmiCall(57, "OUTW", PortForm(_OUT, 2)),
    VmiCall(58, "OUTSL", PortForm(_OUT, 4, string=True)),
    VmiCall(59, "OUTSB", PortForm(_OUT, 1, string=True)),
    VmiCall(60, "OUTSW", PortForm(_OUT, 2, string=True)),
    VmiCall(61, "SetIOPLMask"),
    VmiCall(62, "SetInitialAPState"),
    VmiCall(63, "APICWrite"),
    VmiCall(64, "APICRead"),
    VmiCall(65, "IODelay"),
    VmiCall(66, "GetCycleFrequency"),
    VmiCall(67, "GetCycleCounter"),
    VmiCall(68, "SetAlarm"),
    VmiCall(69, "CancelAlarm"),
    VmiCall(70, "GetWallclockTime"),
    VmiCall(71, "WallclockUpdated"),
    VmiCall(72, "SetCallbacks"),
    VmiCall(73, "SetLazyMode"),
)
VMI_BY_NAME: Final = {call.name: call for call in VMI_CALLS}
PORT_CALLS: Final = tuple(call for call in VMI_CALLS if call.port)

# As the native instruction: no other register and no flag changes; strings leave ECX and ESI or EDI as REP does.
VMI_REGISTERS: Final = PortRegisters("edx", "eax", "ecx", "esi", "edi", "eax")

# How a guest finds the ROM, and what it reads in its header (offsets in bytes).
VMI_SCAN_START: Final = 0xC0000  # physical; Linux begins here, the specification at C8000h
VMI_SCAN_END: Final = 0xE0000  # the first address that is not scanned
VMI_SCAN_STEP: Final = 2048
ROM_BASE: Final = 0xC8000  # physical; the first address at which the specification allows a VMI ROM
ROM_SIGNATURE: Final = 0xAA55  # 16 bits at 0, as in every option ROM
VMI_SIGNATURE: Final = int.from_bytes(b"cVmi", "little")  # 32 bits


class RomOffset(IntEnum):
    """Fields of the VMI ROM's header, by byte."""

    SIGNATURE = 0
    LENGTH = 2  # u8, in 512-byte units
    ENTRY = 3  # 16-bit code that the BIOS calls
    VMI_SIGNATURE = 8  # u32
    API_MINOR = 12  # u8
    API_MAJOR = 13  # u8
    JUMP_SLOTS = 14  # u8
    VIRTUAL_TOP = 16  # u32: lowest linear address the hypervisor keeps; 0: none
    LICENCE = 22  # u16: offset of a NUL-terminated string
    PCI = 24  # u16: offset of the PCI data structure
    PNP = 26  # u16: offset of the PnP expansion header
    INIT = 128  # code: VMI_Init
    GET_RELOC = 136  # code: VMI_GetRelocationInfo


VMI_PCI_VENDOR: Final = 0x15AD  # VMware
VMI_PCI_DEVICE: Final = 0x0801


# Our port calls in the conventions of others -----------------------------------------------------------------------

# The twelve port calls have the number HYPERPORT_CALL_BASE + VMI number in KVM's and lguest's conventions: far above
# what either has ever used. "HP" in the upper half.
HYPERPORT_CALL_BASE: Final = 0x48500000
HYPERPORT_ABI_VERSION: Final = 1

# EAX: number, then result. IN: the value, zero-extended; OUT: 0; strings: elements not transferred (0: all done).
# Nothing but EAX changes.
PRIVATE_REGISTERS: Final = PortRegisters("ebx", "ecx", "ecx", "edx", "edx", "eax")

HYPERPORT_LEAF: Final = 0x40000100  # CPUID: EAX the highest leaf of ours, EBX:ECX:EDX the signature
HYPERPORT_LEAF_FEATURES: Final = 0x40000101  # EAX HYPERPORT_CALL_BASE, EBX HYPERPORT_ABI_VERSION
HYPERPORT_SIGNATURE: Final = b"HyperportIO "


# KVM ---------------------------------------------------------------------------------------------------------------

KVM_LEAF: Final = 0x40000000  # CPUID: EAX the highest leaf of KVM, EBX:ECX:EDX the signature
KVM_LEAF_FEATURES: Final = 0x40000001  # EAX: feature bits
KVM_SIGNATURE: Final = b"KVMKVMKVM\0\0\0"
KVM_FEATURE_NOP_IO_DELAY: Final = 1 << 1  # a delay between port accesses is not needed

KVM_EPERM: Final = 1  # results are these, negated
KVM_EOPNOTSUPP: Final = 95
KVM_ENOSYS: Final = 1000


class KvmCall(IntEnum):
    """Hypercalls that KVM has defined for x86."""

    VAPIC_POLL_IRQ = 1
    MMU_OP = 2
    KICK_CPU = 5
    CLOCK_PAIRING = 9
    SEND_IPI = 10
    SCHED_YIELD = 11
    MAP_GPA_RANGE = 12


# lguest ------------------------------------------------------------------------------------------------------------

LGUEST_VECTOR: Final = 0x1F  # INT 1Fh
LGUEST_SUBARCH_AT: Final = 0x23C  # hardware_subarch, u32 in the boot parameters
LGUEST_SUBARCH: Final = 1


class LguestCall(IntEnum):
    """Hypercalls of lguest as in Linux 2.6.34. Arguments: EBX, ECX, EDX, ESI."""

    FLUSH_ASYNC = 0
    INIT = 1
    SHUTDOWN = 2
    NEW_PGTABLE = 4
    FLUSH_TLB = 5
    LOAD_IDT_ENTRY = 6
    SET_STACK = 7
    TS = 8
    SET_CLOCKEVENT = 9
    HALT = 10
    SET_PMD = 13
    SET_PTE = 14
    SET_PGD = 15
    LOAD_TLS = 16
    NOTIFY = 17
    LOAD_GDT_ENTRY = 18
    SEND_INTERRUPTS = 19


class LguestShutdown(IntEnum):
    """Argument 2 (ECX) of SHUTDOWN; argument 1 is the physical address of a text."""

    POWER_OFF = 1
    RESTART = 2


# Exitless port I/O ---------------------------------------------------------------------------------------------------

# Posted writes and shadow registers lie beside the ROM: tables that the guest can only read, then a page of its own and
# the ring, which it writes (docs/exitless.md). Everything is found from EXITLESS_BASE, by these offsets.
EXITLESS_BASE: Final = ROM_BASE + 0x2000  # physical; the ROM's stubs reach it from where they are
EXITLESS_MAGIC: Final = int.from_bytes(b"HpXl", "little")
EXITLESS_VERSION: Final = 3


class Exitless(IntEnum):
    """Layout version 3, in bytes from EXITLESS_BASE.

    A port's cell is its number in tables of CELLS elements: directory[port >> 8], whose low byte is 0, plus the port's
    low byte. What is not declared has the first 256 cells, which are all 0. Once a group of 256 ports has cells, they
    are its for as long as the machine lives, saves and resets included: code may hold their addresses.
    """

    MAGIC = 0x0000  # u32
    VERSION = 0x0004  # u32
    SIZE = 0x0008  # u32: bytes from EXITLESS_BASE to the end
    CALLS = 0x0010  # u32[12], by the order of the calls: where the ROM's with a crossing is, physical; 0: not there
    LEVELS = 0x0200  # u16[256], by the low byte of CS: 256 where its RPL is 0 or 1, else 0: which directory
    DIRECTORY = 0x0400  # u16[512], by that plus port >> 8: the first cell of 256 ports
    POSTED = 0x0800  # u8[3][CELLS], by size >> 1 and cell: 255 where an OUT may be put into the ring now, else 0
    SHADOWED = 0x2000  # u16[3][CELLS], by size >> 1 and cell: which register an IN may read instead; 0: none now
    PAGE = 0x5000  # here the part begins that the guest writes
    LEFT = 0x5000  # the same place. u32: number of free entries, at most 255; 0: the ring is full, or closed
    SITE_COUNT = 0x5004  # u32: how many sequences the guest has in SITES
    REGISTERS = 0x5040  # {u32 value, u32 count of reads}[REGISTER_COUNT]; there is no number 0
    SITES = 0x6000  # SiteField[SITE_LIMIT]: the guest's own sequences
    RING = 0x7000  # {u32 head, u32 value}[ENTRIES], filled from its end: class EntryHead
    CALLERS = 0x7800  # u32[ENTRIES]: of each entry whose head has no site, EIP behind the call
    ANSWERS = 0x8000  # u32[CELLS], by cell: class Answer, for INs of one byte where the code knows the port
    END = 0xA000


class SiteField(IntEnum):
    """Of a sequence of the guest's own, in bytes from its row in SITES. Addresses are linear."""

    FIRST = 0  # u32: where it begins
    RESTART = 4  # u32: where it goes on if something came between
    LENGTH = 8  # u16: bytes; behind it is the caller of what it posts
    PORT = 10  # u16: where the code knows the port
    ROW = 12  # bytes of a row


class Answer(IntEnum):
    """Bits of one in ANSWERS; bits 0 to 7 are the answer. Who reads it adds READ: so it is counted by the store of what
    was loaded. As the count runs over, SHOWN goes: then the next read is a call, and the VMM takes the count.
    """

    READ = 1 << 8  # times the reads since the VMM has looked
    SHOWN = 1 << 31  # it is shadowed now


class EntryHead(IntEnum):
    """Bits of an entry's head: without SITE the port, its size at SIZE, and bits 24 to 31 as they come."""

    SIZE = 1 << 16  # times 1, 2 or 4
    SITE = 1 << 19  # a sequence made it, which is its caller
    NUMBER = 1 << 20  # times that sequence's
    PORT = 1 << 31  # with SITE: bits 0 to 15 are the port; else its row has it, and they are a value of 1 or 2 bytes


EXITLESS_CELLS: Final = 8 * 256  # the undeclared, and seven groups of 256 ports
EXITLESS_ENTRIES: Final = 255  # so that LEFT & POSTED is which one is free, or 0 where none may be used
EXITLESS_REGISTER_COUNT: Final = 248
EXITLESS_SITE_LIMIT: Final = 340
EXITLESS_SITE_LONGEST: Final = 256  # bytes of a sequence
