# SPDX-License-Identifier: GPL-2.0-or-later
"""What leaving the guest costs on hosts that others have measured: a number, its source, and what it is a number of.

Nothing here was measured by this project. Cycles become nanoseconds by a clock that the sources do not tell, so
each host has a range of clocks. A cost that is reckoned from two published ones says so. Where a source gives several
figures, they are the range; where it gives one, the range is that figure, and only the clock is left open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from hyperport.errors import UsageError


class Strings(Enum):
    """How many crossings the REP INS and OUTS of a guest make; the value is what is said of it."""

    WHOLE = "a string is one crossing"
    CHUNKS = "a string is one crossing for each {chunk} bytes"
    KVM = "REP INS is one crossing for each {chunk} bytes, REP OUTS one for each element"
    UNROLLED = "a string is one crossing for each element"


@dataclass(frozen=True, slots=True)
class Cost:
    """ns of one crossing, or cycles; lowest and highest as published. source: where it stands; says: what it is of."""

    middle: float
    lowest: float
    highest: float
    source: str
    says: str
    cycles: bool = False


@dataclass(frozen=True, slots=True)
class HostWay:
    """One way out of the guest. cost: None where no figure can be cited; chunk: bytes, for strings."""

    name: str
    cost: Cost | None
    strings: Strings = Strings.WHOLE
    chunk: int = 0

    def told(self) -> str:
        """How strings count."""
        return self.strings.value.format(chunk=f"{self.chunk:,}")


@dataclass(frozen=True, slots=True)
class Host:
    """A host. ways: the first is how a guest's own instructions leave it; ghz: lowest, middle and highest clock."""

    name: str
    title: str
    ways: tuple[HostWay, ...]
    ghz: tuple[float, float, float] = (1.0, 1.0, 1.0)
    assumes: tuple[str, ...] = ()

    def ns(self, cost: Cost) -> tuple[float, float, float]:
        """ns of one crossing: lowest, middle and highest."""
        if not cost.cycles:
            return cost.lowest, cost.middle, cost.highest
        slow, usual, fast = self.ghz
        return cost.lowest / fast, cost.middle / usual, cost.highest / slow


def _one(ns: float, source: str, says: str) -> Cost:
    return Cost(ns, ns, ns, source, says)


LINUX_TR: Final = "Linux commit b7ffc44d5b2e, kvm-unit-tests vmexit"
CVM_EVAL: Final = "TUM-DSE/CVM_eval 5bc6ab0a7652, benchmarks/vmexit/plot.py"
LGUEST: Final = "Linux, drivers/lguest/x86/core.c, comment of M. Zabaljauregui"
KVM_STRINGS: Final = "KVM reads ahead for REP INS within a page, and leaves REP OUTS once for each element"

VMX: Final = Host(
    "vmx",
    "Intel VT-x with KVM, 2017; devices in user space",
    (
        HostWay(
            "exit",
            Cost(6209, 6209, 6856, LINUX_TR, "inl_from_qemu after the patch; the highest is that before it", True),
            Strings.KVM,
            1024,
        ),
        HostWay(
            "unrolled",
            Cost(6209, 6209, 6856, LINUX_TR, "the same exit; the guest makes strings of single accesses", True),
            Strings.UNROLLED,
        ),
        HostWay(
            "call",
            Cost(
                5999, 5999, 6649, LINUX_TR, "reckoned: inl_from_qemu less outl_to_kernel (1391, 1402), plus vmcall "
                "(1181, 1195)", True,
            ),
        ),
        HostWay(
            "exit-in-kernel",
            Cost(1391, 1391, 2026, f"{LINUX_TR}; highest: S. Jitindar Singh, kvm list", "outl_to_kernel", True),
            Strings.KVM,
            1024,
        ),
        HostWay("call-in-kernel", Cost(1181, 1181, 1195, LINUX_TR, "vmcall", True)),
    ),
    ghz=(2.0, 3.0, 4.0),
    assumes=("a clock of 3 GHz, 2 to 4: the source counts cycles", KVM_STRINGS),
)  # fmt: skip
SVM: Final = Host(
    "svm",
    "AMD SVM with KVM",
    (
        HostWay("exit", _one(1635, CVM_EVAL, "`amd`, an IN from port 40h"), Strings.KVM, 1024),
        HostWay("unrolled", _one(1635, CVM_EVAL, "the same exit"), Strings.UNROLLED),
        HostWay("call", _one(1255, CVM_EVAL, "`amd`, a hypercall that does nothing")),
    ),
    assumes=(
        "who answered port 40h, kernel or user space, is not told; the call's figure holds no device at all",
        KVM_STRINGS,
    ),
)
SNP: Final = Host(
    "snp",
    "AMD SEV-SNP with KVM",
    (
        HostWay("exit", _one(3885, CVM_EVAL, "`snp`, an IN from port 40h by #VC and GHCB"), Strings.CHUNKS, 2032),
        HostWay("unrolled", _one(3885, CVM_EVAL, "the same exit"), Strings.UNROLLED),
        HostWay("call", _one(3553, CVM_EVAL, "`snp`, a hypercall that does nothing"), Strings.CHUNKS, 2032),
    ),
    assumes=(
        "who answered port 40h, kernel or user space, is not told; the call's figure holds no device at all",
        "a guest that hands strings on whole has the shared buffer of the GHCB, 2,032 bytes",
    ),
)
TDX: Final = Host(
    "tdx",
    "Intel TDX",
    (HostWay("exit", None, Strings.UNROLLED), HostWay("call", None)),
    assumes=(
        "no figure for one access can be cited: give your own, as --host tdx,exit=NS,call=NS",
        "TDX has no string I/O, the guest's kernel unrolls it: Linux commit 33608aaf71e1",
    ),
)
OF_2007: Final = Host(
    "2007",
    "a kernel that runs deprivileged, as in 2007: port I/O faults, the hypervisor decodes it",
    (
        HostWay(
            "trap",
            Cost(
                3546,
                3392,
                4268,
                f"{LGUEST}; highest: that call / 0.66, A. Przywara, xen-devel 2010 (4BB30C2A.4020408@amd.com)",
                "five figures for a fault that is recognised and emulated; highest: an exit was 66 % of what it was "
                "with Xen's instruction emulator",
                True,
            ),
        ),
        HostWay(
            "unrolled",
            Cost(3546, 3392, 4268, LGUEST, "the same fault; strings as single accesses", True),
            Strings.UNROLLED,
        ),
        HostWay("call", Cost(2817, 2721, 2915, LGUEST, "five figures for a hypercall by INT 1Fh", True)),
    ),
    ghz=(1.6, 2.0, 3.0),
    assumes=(
        "a clock of 2 GHz, 1.6 to 3: the sources count cycles",
        "the hypervisor simulates a whole string in one fault, as hyperport's trap does",
        "device work is the same on both ways, and not counted",
    ),
)

HOSTS: Final[Mapping[str, Host]] = {host.name: host for host in (VMX, SVM, SNP, TDX, OF_2007)}


def parse_host(text: str) -> Host:
    """NAME, then WAY=NS or WAY=LOWEST-HIGHEST for figures of one's own, with commas between."""
    name, *settings = text.split(",")
    if name not in HOSTS:
        raise UsageError(f"host {name!r} is unknown; choose from {', '.join(HOSTS)}")
    host = HOSTS[name]
    ways = {way.name: way for way in host.ways}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if key not in ways or not equals:
            raise UsageError(f"host {name}: {setting!r} is no setting: write {'=NS, '.join(ways)}=NS")
        ways[key] = replace(ways[key], cost=_own_cost(name, key, value))
    return replace(host, ways=tuple(ways.values()))


def _own_cost(name: str, key: str, value: str) -> Cost:
    first, dash, second = value.partition("-")
    try:
        lowest = float(first)
        highest = float(second) if dash else lowest
    except ValueError:
        lowest = highest = -1.0
    if not 0 < lowest <= highest < float("inf"):
        raise UsageError(f"host {name}: {key}={value}: write nanoseconds like 3900 or 3500-4200")
    return Cost((lowest + highest) / 2, lowest, highest, "--host", "given by the user")
