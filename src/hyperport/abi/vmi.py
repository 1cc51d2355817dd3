# SPDX-License-Identifier: GPL-2.0-or-later
"""VMI 3.0: the guest calls an option ROM (abi/rom.py), whose stubs for the port calls ring a doorbell.

The doorbell is `out %al, $number` at its own place in the ROM. It is known by its physical address, so nothing is
taken from the guest: the same instruction anywhere else, or at CPL 3, is an ordinary port access. The calls of the
timer are answered by io/vmi_timer.pyx. All other calls are either not offered or are code in the ROM that needs no VMM.
"""

from __future__ import annotations

from typing import Final

from hyperport.abi.convention import Action, Answer, Convention, Entry, doorbell
from hyperport.abi.numbers import PORT_CALLS, VMI_BY_NAME, VMI_REGISTERS
from hyperport.abi.rom import build_rom

# io/vmi_timer.pyx says what they do with which arguments. guest/rom/vmi.S rings for them.
TIMER: Final = {
    VMI_BY_NAME[name].number: Answer(Action.SERVICE, words=words)
    for name, words in (
        ("GetCycleFrequency", 2),
        ("GetCycleCounter", 2),
        ("SetAlarm", 0),
        ("CancelAlarm", 1),
        ("GetWallclockTime", 2),
    )
}
CONVENTION: Final = Convention(
    name="vmi",
    summary="VMI option ROM, API 3.0, calls 49 to 60 or all",
    found_by="scanning C0000h to DFFFFh for the ROM",
    kind=Entry.DOORBELL,
    instructions=tuple(doorbell(number) for number in (*(call.number for call in PORT_CALLS), *TIMER)),
    registers=VMI_REGISTERS,
    arguments=("eax", "edx", "ecx", "ebx", "esi"),
    as_native=True,
    ports={call.number: call for call in PORT_CALLS},
    calls=TIMER,
    unknown=None,
    highest_cpl=1,
    image=build_rom,
)
