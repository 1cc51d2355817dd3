# SPDX-License-Identifier: GPL-2.0-or-later
"""What describes a hypercall convention: plain records that the compiled dispatcher turns into its tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final

from hyperport.abi.numbers import PortRegisters, VmiCall
from hyperport.cpu.cpuid import Leaf
from hyperport.errors import ConfigError

OUT_IMM8_AL: Final = 0xE6  # opcodes with a byte behind them: SDM vol. 2
INT_IMM8: Final = 0xCD
MAX_DOORBELL: Final = 0xFF
LONGEST: Final = 15  # bytes of an i386 instruction
MAX_ARGUMENTS: Final = 5


def doorbell(number: int) -> bytes:
    """The instruction of a doorbell: `out %al, $number`."""
    return bytes((OUT_IMM8_AL, number))


def operand(code: bytes) -> int:
    """The last byte of an instruction: a doorbell's number, a vector."""
    return code[-1]


class Action(IntEnum):
    """What the VMM does for a call, before the result goes to EAX and the guest continues behind the call."""

    NOTHING = 0
    PORT_IO = 1  # one of the twelve; the convention's ports table says which
    FLUSH_TLB = 2
    SET_TS = 3  # CR0.TS = argument 1 is not 0
    HALT = 4  # as HLT with interrupts as they are
    SHUTDOWN = 5  # argument 2 is LguestShutdown.RESTART: reset; anything else: power off
    KILL = 6  # end the guest; the answer's reason says why
    SERVICE = 7  # a part of the machine answers it (lines/service.pyx)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call gets. result is signed and goes to EAX; None leaves EAX alone. reason is for KILL.

    words: of a SERVICE's result, which go to the result register and the one behind it; 0 leaves both alone.
    """

    action: Action = Action.NOTHING
    result: int | None = None
    reason: str = ""
    words: int = 0


class Entry(StrEnum):
    """The kind of event by which a guest calls, and so what an engine must notice."""

    DOORBELL = "doorbell"  # an OUT at its own physical address, in an image of ours; elsewhere it is an ordinary OUT
    INSTRUCTION = "instruction"  # an opcode that the CPU does not have
    VECTOR = "vector"  # INT n in protected mode, before the guest's gate is looked at


@dataclass(frozen=True, slots=True)
class Sequence:
    """Code that relies on what it has read until its last instruction, a store, has committed (io/exitless.pyx).

    first, length: its bytes. restart: where the guest goes on if something came between. Offsets in an image.
    """

    first: int
    length: int
    restart: int


@dataclass(frozen=True, slots=True)
class Stub:
    """Code of a port call for one element that needs no crossing while its device allows it (docs/exitless.md).

    call: which. code: where it begins. sequence: that part of it. doorbell: what it goes on with otherwise. Offsets in
    an image.
    """

    call: VmiCall
    code: int
    sequence: Sequence
    doorbell: int


@dataclass(frozen=True, slots=True)
class Image:
    """Code that the machine lays into memory at physical address base.

    doorbells: offset in data of each doorbell instruction that is offered -> number of its call. stubs: of port calls
    that need no crossing.
    """

    base: int
    data: bytes
    doorbells: Mapping[int, int]
    stubs: tuple[Stub, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Convention:
    """A way for guests to call the VMM. All that the VMM knows of it stands here; io/hypercall.pyx compiles it.

    kind: what makes a call. instructions: its machine code; a doorbell's last byte is its number, that of INT n the
    vector. number: the register that holds the number (a doorbell has its own).
    registers: where a port call's operands are.
    as_native: a port call leaves everything as its instruction does: an IN changes only its bytes, a string its index
    and count; addresses are offsets in ES and DS, and a page fault is the guest's, who then makes the call once more.
    Else the result register gets what IN read, 0 for an OUT, or the elements of a string that are left; addresses are
    linear, and nothing else changes.
    arguments: registers of the calls that are not port calls, at most MAX_ARGUMENTS. result_high: the upper word of a
    result of 64 bits.
    ports: number as the guest gives it -> the port call.
    calls: number -> answer of every other known call; unknown: of all numbers that are in neither table.
    highest_cpl: calls from a CPL up to this are served. From above they get forbidden; None: the instruction does what
    it does without a VMM.
    image: for doorbells: makes the code from the user's choice of calls (None: all). cpuid: leaves that CPUID then has.
    subarch: hardware_subarch of Linux's boot parameters. words: of a guest's command line: by them the SDK calls so.
    """

    name: str
    summary: str
    found_by: str
    kind: Entry
    instructions: tuple[bytes, ...]
    number: str = "eax"
    registers: PortRegisters
    as_native: bool = False
    arguments: tuple[str, ...] = ("ebx", "ecx", "edx", "esi")
    result_high: str = "edx"
    ports: Mapping[int, VmiCall]
    calls: Mapping[int, Answer]
    unknown: Answer | None
    highest_cpl: int
    forbidden: Answer | None = None
    image: Callable[[Iterable[str] | None], Image] | None = None
    cpuid: Callable[[], dict[int, Leaf]] | None = None
    subarch: int = 0
    words: str = ""

    def __post_init__(self) -> None:
        """Raises ConfigError for a table that is no convention."""
        if not self.instructions or not all(1 <= len(code) <= LONGEST for code in self.instructions):
            raise ConfigError(f"ABI {self.name}: an instruction has 1 to {LONGEST} bytes")
        numbers = {*self.ports, *self.calls}
        if not all(0 <= number < 1 << 32 for number in numbers):
            raise ConfigError(f"ABI {self.name}: a call's number has 32 bits")
        if self.kind == Entry.DOORBELL:
            wrong = [code for code in self.instructions if code != doorbell(code[-1])]
            if wrong or self.image is None or max(numbers, default=0) > MAX_DOORBELL:
                raise ConfigError(
                    f"ABI {self.name}: a doorbell is `out %al, $number` in an image, number 1 to {MAX_DOORBELL}"
                )
        if not 2 <= len(self.arguments) <= MAX_ARGUMENTS:
            raise ConfigError(f"ABI {self.name}: give 2 to {MAX_ARGUMENTS} registers for arguments")
        if self.kind == Entry.VECTOR and any(len(code) != 2 or code[0] != INT_IMM8 for code in self.instructions):
            raise ConfigError(f"ABI {self.name}: the instruction of a vector is INT n")
        for answer in filter(None, (self.unknown, self.forbidden, *self.calls.values())):
            if answer.action == Action.PORT_IO:
                raise ConfigError(f"ABI {self.name}: port calls belong into the table ports")
            if answer.result is not None and not -(1 << 31) <= answer.result < 1 << 32:
                raise ConfigError(f"ABI {self.name}: a result has 32 bits")

    @property
    def ops(self) -> str:
        """What a guest that is built with the SDK is told, to call this way."""
        return self.words or self.name
