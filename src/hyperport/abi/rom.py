# SPDX-License-Identifier: GPL-2.0-or-later
"""The VMI option ROM as bytes: header, code from guest/rom/vmi.S, relocation answers, strings, checksum.

Layout, in bytes from the start (all of it position-independent; the length is a multiple of 512, the sum 0):
    0       header (hyperport.abi.numbers.RomOffset)
    128     jump to VMI_Init; 136 jump to VMI_GetRelocationInfo; 144 u16, where the answers are; 146 u16, where the
            doorbells of calls that are no port calls are; 148 u16, where port calls without a crossing are
    160     code; doorbells are `out %al, $number`, those of port calls the whole of the call's code
    then    doorbells, 4 bytes each: u16 offset, u8 number, u8 0; an offset of 0 ends them
    then    port calls without a crossing, 12 bytes each: u16 offsets of code, of its sequence, of that one's end, of
            its restart; u8 number, u8 0, u16 0; an offset of 0 ends them
    then    the answers of get_reloc, 4 bytes a call: u16 offset of the code, u8 Relocation, u8 0
    then    16-byte aligned: PCI data structure, PnP expansion header, strings
Header formats: VMI specification, part 2; PCI Firmware Specification 3.0, 5.1; Plug and Play BIOS Specification 1.0A,
3.2.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from hyperport.abi.convention import Image, Sequence, Stub
from hyperport.abi.numbers import (
    EXITLESS_BASE,
    PORT_CALLS,
    ROM_BASE,
    ROM_SIGNATURE,
    VMI_API_MAJOR,
    VMI_API_MINOR,
    VMI_BY_NAME,
    VMI_CALLS,
    VMI_PCI_DEVICE,
    VMI_PCI_VENDOR,
    VMI_SIGNATURE,
    Relocation,
    RomOffset,
)
from hyperport.errors import ConfigError, HostError

ANSWERS_AT: Final = RomOffset.GET_RELOC + 8
DOORBELLS_AT: Final = ANSWERS_AT + 2
ANSWER: Final = struct.Struct("<HBx")  # offset of the code, Relocation
STUB_ROW: Final = struct.Struct("<4HBxxx")  # offsets of code, sequence, its end, restart; number
BLOCK: Final = 512  # unit of a ROM's length
LONGEST: Final = EXITLESS_BASE - ROM_BASE  # what lies behind it on machines with --io exitless
ALWAYS: Final = ("IRET", "SYSEXIT")  # Linux cannot run on without them: its own operations are gone by then
FULL: Final = "full"  # names of sets: all that the ROM has,
MINIMAL: Final = "minimal"  # or what speeds up port I/O and nothing else
SETS: Final = (MINIMAL, FULL)

FAR_RETURN: Final = b"\xcb"  # retf: nothing to initialise when the BIOS calls
MANUFACTURER: Final = b"hyperport"
PRODUCT: Final = b"hyperport VMI ROM"
PCI_SIZE: Final = 24
PCI_CLASS: Final = 0x050000  # memory controller
PCI_X86: Final = 0
PCI_LAST_IMAGE: Final = 0x80
PNP_SIZE: Final = 32


RomImage = Image  # doorbells: number of the VMI call


@dataclass(frozen=True, slots=True)
class Code:
    """The assembled guest/rom/vmi.S. answers: what it offers, number -> (offset, type). doorbells: number -> offset.

    stubs: number of a port call -> its code that needs no crossing.
    """

    data: bytes
    answers: dict[int, tuple[int, Relocation]]
    doorbells: dict[int, int]
    stubs: dict[int, Stub]

    @property
    def minimal(self) -> set[int]:
        """Numbers of the set MINIMAL."""
        return {VMI_BY_NAME[name].number for name in (*ALWAYS, "IODelay")} | {call.number for call in PORT_CALLS}


@cache
def _code() -> Code:
    try:
        data = (Path(__file__).parent / "vmi.bin").read_bytes()
    except FileNotFoundError:
        raise HostError("the VMI ROM's code (hyperport/abi/vmi.bin) is not built: run `make build`") from None
    table, bells, stubs = struct.unpack_from("<HHH", data, ANSWERS_AT)
    given = (ANSWER.unpack_from(data, table + ANSWER.size * call.number) for call in VMI_CALLS)
    answers = {number: (at, Relocation(kind)) for number, (at, kind) in enumerate(given) if kind != Relocation.NONE}
    doorbells = {call.number: answers[call.number][0] for call in PORT_CALLS}
    for at, number in struct.iter_unpack(ANSWER.format, data[bells:stubs]):
        if at:
            doorbells[number] = at
    rows = {
        number: Stub(VMI_CALLS[number], at, Sequence(first, end - first, restart), doorbells[number])
        for at, first, end, restart, number in STUB_ROW.iter_unpack(data[stubs:table])
        if at
    }
    return Code(data, answers, doorbells, rows)


def offered_calls() -> tuple[str, ...]:
    """Names of all calls that the ROM can offer, in the order of their numbers."""
    return tuple(VMI_CALLS[number].name for number in _code().answers)


def select_calls(calls: Iterable[str]) -> frozenset[int]:
    """Numbers of the offered calls that are named: INB (in any case), 50, 49-60, or a set. Raises ConfigError."""
    return frozenset(number for text in calls for number in _select(text.strip()))


def _select(text: str) -> set[int]:
    offered = _code().answers
    if text.lower() in SETS:
        return set(offered) if text.lower() == FULL else _code().minimal
    span = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", text, re.ASCII)
    if span:
        first, last = int(span[1]), int(span[2] or span[1])
        found = {number for number in offered if first <= number <= last}
    else:
        found = {number for number in offered if VMI_CALLS[number].name.lower() == text.lower()}
    if not found:
        raise ConfigError(
            f"VMI call {text!r} is not there: choose from {', '.join((*SETS, *offered_calls()))}, 50, 49-60"
        )
    return found


def build_rom(
    calls: Iterable[str] | None = None,
    *,
    exitless: bool = False,
    licence: str = "GPL",
    api: tuple[int, int] = (VMI_API_MAJOR, VMI_API_MINOR),
    pci: bool = True,
) -> RomImage:
    """The ROM that offers calls (None: MINIMAL; see select_calls) besides IRET and SYSEXIT, which are always there.

    exitless: port calls for one element first look whether they need a crossing (docs/exitless.md).
    licence, api (major, minor) and pci make ROMs that guests must refuse: Linux wants "GPL" or "GPL v2", major 3 and
    a PCI data structure. Raises ConfigError for a call that is not there.
    """
    code = _code()
    chosen = select_calls((MINIMAL,) if calls is None else (*calls, *ALWAYS))
    (table,) = struct.unpack_from("<H", code.data, ANSWERS_AT)
    image = bytearray(code.data)
    for number in code.answers.keys() - chosen:
        ANSWER.pack_into(image, table + ANSWER.size * number, 0, Relocation.NONE)
    stubs = [stub for number, stub in code.stubs.items() if exitless and number in chosen]
    for stub in stubs:
        ANSWER.pack_into(image, table + ANSWER.size * stub.call.number, stub.code, Relocation.CALL_REL)

    _align(image)
    pci_at = len(image)
    pnp_at = -(-(pci_at + PCI_SIZE) // 16) * 16
    manufacturer_at = pnp_at + PNP_SIZE
    product_at = manufacturer_at + len(MANUFACTURER) + 1
    licence_at = product_at + len(PRODUCT) + 1
    strings = b"".join(text + b"\0" for text in (MANUFACTURER, PRODUCT, licence.encode()))
    blocks = -(-(manufacturer_at + len(strings) + 1) // BLOCK)  # and a byte for the checksum
    if blocks * BLOCK > LONGEST:
        raise ConfigError(f"VMI ROM: {blocks * BLOCK} bytes, at most {LONGEST} fit; shorten its licence")
    image += _pci_data(blocks)
    _align(image)
    image += _pnp_header(manufacturer_at, product_at) + strings
    image += bytes(blocks * BLOCK - len(image))

    major, minor = api
    struct.pack_into("<HB1s", image, RomOffset.SIGNATURE, ROM_SIGNATURE, blocks, FAR_RETURN)
    struct.pack_into("<IBB", image, RomOffset.VMI_SIGNATURE, VMI_SIGNATURE, minor, major)
    struct.pack_into("<HHH", image, RomOffset.LICENCE, licence_at, pci_at if pci else 0, pnp_at)
    image[-1] = -sum(image) & 0xFF
    doorbells = {at: number for number, at in code.doorbells.items() if number in chosen}
    return RomImage(ROM_BASE, bytes(image), doorbells, tuple(stubs))


def _align(image: bytearray) -> None:
    image += bytes(-len(image) % 16)


def _pci_data(blocks: int) -> bytes:
    return struct.pack(
        "<4sHHHHB3sHBBBBH",
        b"PCIR",
        VMI_PCI_VENDOR,
        VMI_PCI_DEVICE,
        0,  # no vital product data
        PCI_SIZE,
        0,  # revision of this structure
        PCI_CLASS.to_bytes(3, "little"),
        blocks,
        0,  # the ROM's own version: minor
        1,  # and major
        PCI_X86,
        PCI_LAST_IMAGE,
        0,
    )


def _pnp_header(manufacturer_at: int, product_at: int) -> bytes:
    header = bytearray(PNP_SIZE)  # type, boot vectors and resources stay 0: this is no device to boot from
    struct.pack_into("<4sBB", header, 0, b"$PnP", 1, PNP_SIZE // 16)
    struct.pack_into("<HH", header, 14, manufacturer_at, product_at)
    header[9] = -sum(header) & 0xFF  # its own checksum
    return bytes(header)
