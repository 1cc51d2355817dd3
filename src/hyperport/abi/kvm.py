# SPDX-License-Identifier: GPL-2.0-or-later
"""KVM's convention: VMCALL or VMMCALL with the number in EAX; only EAX changes.

An INL that read FFFF_FFFFh and a call refused with -1 look alike: callers know their own CPL.
"""

from __future__ import annotations

from typing import Final

from hyperport.abi.convention import Action, Answer, Convention, Entry
from hyperport.abi.numbers import (
    HYPERPORT_ABI_VERSION,
    HYPERPORT_CALL_BASE,
    HYPERPORT_LEAF,
    HYPERPORT_LEAF_FEATURES,
    HYPERPORT_SIGNATURE,
    KVM_ENOSYS,
    KVM_EOPNOTSUPP,
    KVM_EPERM,
    KVM_FEATURE_NOP_IO_DELAY,
    KVM_LEAF,
    KVM_LEAF_FEATURES,
    KVM_SIGNATURE,
    PORT_CALLS,
    PRIVATE_REGISTERS,
    KvmCall,
)
from hyperport.cpu.cpuid import Leaf

VMCALL: Final = bytes.fromhex("0f01c1")
VMMCALL: Final = bytes.fromhex("0f01d9")

DONE: Final = Answer(Action.NOTHING, 0)
NOT_THERE: Final = Answer(Action.NOTHING, -KVM_ENOSYS)


def cpuid_leaves() -> dict[int, Leaf]:
    """The leaves by which a guest finds KVM's calls and ours; whoever shows them sets bit 31 of 1:ECX too."""
    return {
        KVM_LEAF: _signature(KVM_LEAF_FEATURES, KVM_SIGNATURE),
        KVM_LEAF_FEATURES: (KVM_FEATURE_NOP_IO_DELAY, 0, 0, 0),
        HYPERPORT_LEAF: _signature(HYPERPORT_LEAF_FEATURES, HYPERPORT_SIGNATURE),
        HYPERPORT_LEAF_FEATURES: (HYPERPORT_CALL_BASE, HYPERPORT_ABI_VERSION, 0, 0),
    }


def _signature(highest: int, text: bytes) -> Leaf:
    ebx, ecx, edx = (int.from_bytes(text[at : at + 4], "little") for at in (0, 4, 8))
    return highest, ebx, ecx, edx


CONVENTION: Final = Convention(
    name="kvm",
    summary="VMCALL and VMMCALL as under KVM, with the port calls in a range of our own",
    found_by="CPUID 40000000h (KVM) and 40000100h (ours)",
    kind=Entry.INSTRUCTION,
    instructions=(VMCALL, VMMCALL),
    registers=PRIVATE_REGISTERS,
    ports={HYPERPORT_CALL_BASE + call.number: call for call in PORT_CALLS},
    calls={
        KvmCall.VAPIC_POLL_IRQ: DONE,  # interrupts are looked for at every crossing
        KvmCall.KICK_CPU: DONE,  # there is one vCPU, and it runs
        KvmCall.CLOCK_PAIRING: Answer(Action.NOTHING, -KVM_EOPNOTSUPP),
        KvmCall.SCHED_YIELD: DONE,
    },
    unknown=NOT_THERE,
    highest_cpl=0,
    forbidden=Answer(Action.NOTHING, -KVM_EPERM),
    cpuid=cpuid_leaves,
)
