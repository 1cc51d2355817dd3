#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes guest/include/hyperport/abi.h from src/hyperport/abi/numbers.py, or says with --check whether it is stale."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from enum import IntEnum
from pathlib import Path
from typing import Final

from hyperport.abi import numbers as n

HEADER: Final = Path(__file__).parents[1] / "guest" / "include" / "hyperport" / "abi.h"

TOP: Final = """\
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Numbers of the hypercall conventions. Generated from src/hyperport/abi/numbers.py by tools/abi_header.py: change
 * that file and run `make headers`. For C and for assembly; docs and sources of the numbers are in that file.
 */
#ifndef HYPERPORT_ABI_H
#define HYPERPORT_ABI_H
"""
BOTTOM: Final = "\n\n#endif\n"

Macro = tuple[str, int, bool]  # name without prefix, value, whether it reads better in hex


def words(signature: bytes) -> list[int]:
    """The signature as CPUID gives it in EBX, ECX and EDX."""
    return [int.from_bytes(signature[at : at + 4], "little") for at in (0, 4, 8)]


def enum_macros(prefix: str, values: type[IntEnum]) -> Iterator[Macro]:
    """A macro for each value of an enumeration."""
    for value in values:
        yield f"{prefix}{value.name}", value.value, False


def cpuid_macros(prefix: str, leaf: int, features: int, signature: bytes) -> Iterator[Macro]:
    """The two leaves by which a convention is found."""
    yield f"{prefix}LEAF", leaf, True
    yield f"{prefix}LEAF_FEATURES", features, True
    for register, word in zip(("EBX", "ECX", "EDX"), words(signature), strict=True):
        yield f"{prefix}SIGNATURE_{register}", word, True


def sections() -> Iterator[tuple[str, Iterable[Macro]]]:
    """Title and macros of every part of the header."""
    yield (
        "VMI: finding the ROM (physical addresses), and its header (offsets in bytes)",
        [
            ("VMI_SCAN_START", n.VMI_SCAN_START, True),
            ("VMI_SCAN_END", n.VMI_SCAN_END, True),
            ("VMI_SCAN_STEP", n.VMI_SCAN_STEP, False),
            ("ROM_BASE", n.ROM_BASE, True),
            ("ROM_SIGNATURE", n.ROM_SIGNATURE, True),
            ("VMI_SIGNATURE", n.VMI_SIGNATURE, True),
            ("VMI_API_MAJOR", n.VMI_API_MAJOR, False),
            ("VMI_API_MINOR", n.VMI_API_MINOR, False),
            ("VMI_PCI_VENDOR", n.VMI_PCI_VENDOR, True),
            ("VMI_PCI_DEVICE", n.VMI_PCI_DEVICE, True),
            *enum_macros("ROM_AT_", n.RomOffset),
        ],
    )
    yield "VMI: what get_reloc answers in DL", enum_macros("VMI_RELOCATION_", n.Relocation)
    yield (
        "VMI: the calls",
        [*((f"VMI_{call.name}", call.number, False) for call in n.VMI_CALLS), ("VMI_CALLS", len(n.VMI_CALLS), False)],
    )
    yield (
        "The port calls in the other conventions: HYPERPORT_CALL(HYPERPORT_VMI_INB) and so on",
        [
            ("CALL_BASE", n.HYPERPORT_CALL_BASE, True),
            ("ABI_VERSION", n.HYPERPORT_ABI_VERSION, False),
            *cpuid_macros("", n.HYPERPORT_LEAF, n.HYPERPORT_LEAF_FEATURES, n.HYPERPORT_SIGNATURE),
        ],
    )
    yield (
        "KVM",
        [
            *cpuid_macros("KVM_", n.KVM_LEAF, n.KVM_LEAF_FEATURES, n.KVM_SIGNATURE),
            ("KVM_FEATURE_NOP_IO_DELAY", n.KVM_FEATURE_NOP_IO_DELAY, True),
            ("KVM_EPERM", n.KVM_EPERM, False),
            ("KVM_EOPNOTSUPP", n.KVM_EOPNOTSUPP, False),
            ("KVM_ENOSYS", n.KVM_ENOSYS, False),
            *enum_macros("KVM_", n.KvmCall),
        ],
    )
    yield (
        "lguest",
        [
            ("LGUEST_VECTOR", n.LGUEST_VECTOR, True),
            ("LGUEST_SUBARCH_AT", n.LGUEST_SUBARCH_AT, True),
            ("LGUEST_SUBARCH", n.LGUEST_SUBARCH, False),
            *enum_macros("LGUEST_", n.LguestCall),
            *enum_macros("LGUEST_SHUTDOWN_", n.LguestShutdown),
        ],
    )
    yield (
        "Exitless port I/O: where its tables and its ring are, in bytes from EXITLESS_BASE (physical)",
        [
            ("EXITLESS_BASE", n.EXITLESS_BASE, True),
            ("EXITLESS_MAGIC_NUMBER", n.EXITLESS_MAGIC, True),
            ("EXITLESS_VERSION_NUMBER", n.EXITLESS_VERSION, False),
            *((f"EXITLESS_{name}", place.value, True) for name, place in n.Exitless.__members__.items()),
            *((f"EXITLESS_SITE_{name}", field.value, False) for name, field in n.SiteField.__members__.items()),
            *((f"EXITLESS_ANSWER_{bit.name}", bit.value, True) for bit in n.Answer),
            *((f"EXITLESS_ENTRY_{bit.name}", bit.value, True) for bit in n.EntryHead),
            ("EXITLESS_CELLS", n.EXITLESS_CELLS, False),
            ("EXITLESS_ENTRIES", n.EXITLESS_ENTRIES, False),
            ("EXITLESS_REGISTER_COUNT", n.EXITLESS_REGISTER_COUNT, False),
            ("EXITLESS_SITE_LIMIT", n.EXITLESS_SITE_LIMIT, False),
            ("EXITLESS_SITE_LONGEST", n.EXITLESS_SITE_LONGEST, False),
        ],
    )


def port_calls() -> Iterator[str]:
    """The X macro of the twelve port calls."""
    yield ""
    yield "/* The port calls in the order of their numbers: X(name, VMI number, 0 in or 1 out, bytes, 1 if string) */"
    lines = ["#define HYPERPORT_PORT_CALLS(X)"]
    for call in n.PORT_CALLS:
        assert call.port is not None
        form = call.port
        lines.append(f"\tX({call.name}, {call.number}, {form.direction.value}, {form.size}, {int(form.string)})")
    yield " \\\n".join(lines)


def render() -> str:
    """The header's text."""
    lines = [TOP.rstrip("\n")]
    for title, macros in sections():
        lines += ["", f"/* {title} */"]
        for name, value, in_hex in macros:
            lines.append(f"#define HYPERPORT_{name} {value:#x}" if in_hex else f"#define HYPERPORT_{name} {value}")
        if title == "VMI: the calls":
            lines += port_calls()
        if title.startswith("The port calls"):
            lines.append("#define HYPERPORT_CALL(vmi_number) (HYPERPORT_CALL_BASE + (vmi_number))")
    return "\n".join(lines) + BOTTOM


def main() -> int:
    """Status 1: the file is stale (--check only)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the file is stale")
    parser.add_argument("path", nargs="?", type=Path, default=HEADER, help="the header (default: %(default)s)")
    arguments = parser.parse_args()
    text = render()
    if not arguments.check:
        arguments.path.parent.mkdir(parents=True, exist_ok=True)
        arguments.path.write_text(text)
    elif not arguments.path.exists() or arguments.path.read_text() != text:
        print(f"error: {arguments.path} is stale: run `make headers`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
