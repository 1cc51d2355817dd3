# SPDX-License-Identifier: GPL-2.0-or-later
"""VMI 3.0: the guest calls an option ROM (abi/rom.py), whose stubs for the port calls ring a doorbell.

The doorbell is `out %al, $number` at its own place in the ROM. It is known by its physical address, so nothing is
taken from the guest: the same instruction anywhere else, or at CPL 3, is an ordinary port access. All other calls
are either not offered or are code in the ROM that needs no VMM.
"""

from __future__ import annotations

from typing import Final

from hyperport.abi.convention import Convention, Entry, doorbell
from hyperport.abi.numbers import PORT_CALLS, VMI_REGISTERS
from hyperport.abi.rom import build_rom

CONVENTION: Final = Convention(
    name="vmi",
    summary="VMI option ROM, API 3.0, calls 49 to 60",
    found_by="scanning C0000h to DFFFFh for the ROM",
    kind=Entry.DOORBELL,
    instructions=tuple(doorbell(call.number) for call in PORT_CALLS),
    registers=VMI_REGISTERS,
    as_native=True,
    ports={call.number: call for call in PORT_CALLS},
    calls={},
    unknown=None,
    highest_cpl=1,
    image=build_rom,
)
