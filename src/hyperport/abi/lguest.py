# SPDX-License-Identifier: GPL-2.0-or-later
"""lguest's convention: INT 1Fh with the number in EAX, at CPL 0 and 1; at CPL 3 it is the guest's own INT 1Fh.

Calls that only made sense for lguest's shadowed page tables, descriptors and clock end the guest, as lguest ended a
guest whose call it could not serve. A call without a result leaves EAX alone.
"""

from __future__ import annotations

from typing import Final

from hyperport.abi.convention import INT_IMM8, Action, Answer, Convention, Entry
from hyperport.abi.numbers import (
    HYPERPORT_CALL_BASE,
    LGUEST_SUBARCH,
    LGUEST_VECTOR,
    PORT_CALLS,
    PRIVATE_REGISTERS,
    LguestCall,
)

NOTHING: Final = Answer(Action.NOTHING)
SERVED: Final[dict[int, Answer]] = {
    LguestCall.FLUSH_ASYNC: NOTHING,  # there is no ring of calls to flush
    LguestCall.SHUTDOWN: Answer(Action.SHUTDOWN),
    LguestCall.FLUSH_TLB: Answer(Action.FLUSH_TLB),
    LguestCall.TS: Answer(Action.SET_TS),
    LguestCall.HALT: Answer(Action.HALT),
    LguestCall.SEND_INTERRUPTS: NOTHING,  # interrupts are looked for at every crossing
}

CONVENTION: Final = Convention(
    name="lguest",
    summary="INT 1Fh as under lguest, with the port calls in a range of our own",
    found_by="hardware_subarch 1 in the boot parameters",
    kind=Entry.VECTOR,
    instructions=(bytes((INT_IMM8, LGUEST_VECTOR)),),
    registers=PRIVATE_REGISTERS,
    ports={HYPERPORT_CALL_BASE + call.number: call for call in PORT_CALLS},
    calls={
        call.value: SERVED.get(
            call, Answer(Action.KILL, reason=f"lguest call {call.value} ({call.name}) is not offered")
        )
        for call in LguestCall
    },
    unknown=Answer(Action.KILL, reason="unknown lguest call"),
    highest_cpl=1,
    subarch=LGUEST_SUBARCH,
)
