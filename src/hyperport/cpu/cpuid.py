# SPDX-License-Identifier: GPL-2.0-or-later
"""What CPUID tells a guest: a P6-class CPU without a local APIC, chosen by us and the same on every engine.

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
PHYSICAL_BITS: Final = 36
LINEAR_BITS: Final = 32

SIGNATURE: Final = 0x663  # family 6, model 6, stepping 3
BRAND: Final = "hyperport virtual i386 CPU"


def _text(text: bytes) -> tuple[int, int, int]:
    words = [int.from_bytes(text[i : i + 4], "little") for i in (0, 4, 8)]
    return words[0], words[1], words[2]


def leaves(hypervisor: Mapping[int, Leaf] | None = None) -> dict[int, Leaf]:
    """The table that engines answer CPUID from. A leaf that is not in it answers zeros.

    hypervisor: leaves 4000_0000h and up of the hypercall ABIs; if there are any, 1:ECX says so.
    """
    ebx, edx, ecx = _text(b"GenuineIntel")
    brand = BRAND.encode().ljust(48, b"\0")
    table = {
        0: (2, ebx, ecx, edx),
        1: (SIGNATURE, 0, FEATURES_ECX | (HYPERVISOR_ECX if hypervisor else 0), FEATURES_EDX),
        2: (1, 0, 0, 0),
        0x80000000: (0x80000008, 0, 0, 0),
        0x80000001: (0, 0, 0, EXTENDED_EDX),
        0x80000008: (LINEAR_BITS << 8 | PHYSICAL_BITS, 0, 0, 0),
    }
    for number in range(3):
        part = brand[16 * number : 16 * number + 16]
        words = [int.from_bytes(part[i : i + 4], "little") for i in (0, 4, 8, 12)]
        table[0x80000002 + number] = (words[0], words[1], words[2], words[3])
    return table | dict(hypervisor or {})
