# SPDX-License-Identifier: GPL-2.0-or-later
"""What CPUID tells a guest: a P6-class CPU without a local APIC, chosen by us and the same on every engine;
only the speed of the TSC is the host's, since the TSC is.

Bits from the SDM, vol. 2A, CPUID. Leaves 4000_0000h and up are the hypercall ABIs': bit 31 of 1:ECX (hypervisor
present) is clear until one of them claims it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

Leaf = tuple[int, int, int, int]  # EAX, EBX, ECX, EDX

FEATURES_EDX: Final = (
    1 << 0  # FPU
    | 1 << 2  # DE: debug extensions
    | 1 << 3  # PSE: 4 MiB pages
    | 1 << 4  # TSC
    | 1 << 5  # MSR: RDMSR and WRMSR
    | 1 << 6  # PAE
    | 1 << 8  # CX8: CMPXCHG8B
    | 1 << 11  # SEP: SYSENTER and SYSEXIT
    | 1 << 13  # PGE: global pages
    | 1 << 15  # CMOV
    | 1 << 16  # PAT
    | 1 << 23  # MMX
    | 1 << 24  # FXSR
    | 1 << 25  # SSE
    | 1 << 26  # SSE2
)
FEATURES_ECX: Final = 1 << 0  # SSE3
HYPERVISOR_ECX: Final = 1 << 31  # a hypervisor is present: leaves 4000_0000h and up mean something
EXTENDED_EDX: Final = 1 << 20  # NX
STRUCTURED: Final = 7  # the leaf of features that has sub-leaves, of which we have the first
STRUCTURED_EBX: Final = 1 << 1  # TSC_ADJUST: MSR 3Bh
INVARIANT_TSC_EDX: Final = 1 << 8  # of 8000_0007h
PHYSICAL_BITS: Final = 36
LINEAR_BITS: Final = 32
CRYSTAL_KHZ: Final = 100  # of the clock that the TSC's frequency is told by

SIGNATURE: Final = 0x663  # family 6, model 6, stepping 3
BRAND: Final = "hyperport virtual i386 CPU"


def _text(text: bytes) -> tuple[int, int, int]:
    words = [int.from_bytes(text[i : i + 4], "little") for i in (0, 4, 8)]
    return words[0], words[1], words[2]


def timing(tsc_khz: int) -> dict[int, Leaf]:
    """Leaves 15h, 16h and 8000_0007h: how fast the TSC and the CPU run, so that a guest need not measure it.

    15h is the TSC's frequency as that of a crystal times EBX / EAX. Linux multiplies EBX with the crystal's kHz in 32
    bits. 16h, in MHz, is what Linux takes for the CPU's frequency, and else asks the PIT for.
    """
    mhz = round(tsc_khz / 1000)
    return {
        0x15: (CRYSTAL_KHZ, tsc_khz, CRYSTAL_KHZ * 1000, 0),
        0x16: (mhz, mhz, 0, 0),
        0x80000007: (0, 0, 0, INVARIANT_TSC_EDX),
    }


def leaves(hypervisor: Mapping[int, Leaf] | None = None, tsc_khz: int = 0) -> dict[int, Leaf]:
    """The table that engines answer CPUID from. A leaf that is not in it answers zeros.

    hypervisor: leaves 4000_0000h and up of the hypercall ABIs; if there are any, 1:ECX says so. tsc_khz: of the guest's
    TSC; 0 if it is not known, and then the guest is told nothing of it.
    """
    ebx, edx, ecx = _text(b"GenuineIntel")
    brand = BRAND.encode().ljust(48, b"\0")
    table = {
        0: (0x16 if tsc_khz else STRUCTURED, ebx, ecx, edx),
        1: (SIGNATURE, 0, FEATURES_ECX | (HYPERVISOR_ECX if hypervisor else 0), FEATURES_EDX),
        2: (1, 0, 0, 0),
        STRUCTURED: (0, STRUCTURED_EBX, 0, 0),
        **(timing(tsc_khz) if tsc_khz else {}),
        0x80000000: (0x80000008, 0, 0, 0),
        0x80000001: (0, 0, 0, EXTENDED_EDX),
        0x80000008: (LINEAR_BITS << 8 | PHYSICAL_BITS, 0, 0, 0),
    }
    for number in range(3):
        part = brand[16 * number : 16 * number + 16]
        words = [int.from_bytes(part[i : i + 4], "little") for i in (0, 4, 8, 12)]
        table[0x80000002 + number] = (words[0], words[1], words[2], words[3])
    return table | dict(hypervisor or {})
