# SPDX-License-Identifier: GPL-2.0-or-later
"""What describes a hypercall convention: plain records that the compiled dispatcher turns into its tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from hyperport.abi.numbers import PortRegisters, VmiCall


class Action(IntEnum):
    """What the VMM does for a call, before the result goes to EAX and the guest continues behind the call."""

    NOTHING = 0
    PORT_IO = 1  # one of the twelve; the convention's ports table says which
    FLUSH_TLB = 2
    SET_TS = 3  # CR0.TS = argument 1 is not 0
    HALT = 4  # as HLT with interrupts as they are
    SHUTDOWN = 5  # argument 2 is LguestShutdown.RESTART: reset; anything else: power off
    KILL = 6  # end the guest; the answer's reason says why


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call gets. result is signed and goes to EAX; None leaves EAX alone. reason is for KILL."""

    action: Action = Action.NOTHING
    result: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Convention:
    """A way for guests to call the VMM.

    instructions: the machine code that makes a call. Each is at most three bytes.
    ports: number as the guest gives it -> the port call. registers: where its operands are.
    calls: number -> answer of every other known call; unknown: of all numbers that are in neither table.
    highest_cpl: calls from a CPL up to this are served. From above they get forbidden; None: the instruction does what
    it does without a VMM.
    """

    name: str
    summary: str
    found_by: str
    instructions: tuple[bytes, ...]
    registers: PortRegisters
    ports: Mapping[int, VmiCall]
    calls: Mapping[int, Answer]
    unknown: Answer | None
    highest_cpl: int
    forbidden: Answer | None = None
