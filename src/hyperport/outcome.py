# SPDX-License-Identifier: GPL-2.0-or-later
"""How a run ended, as a typed value, and the exit status of the process that belongs to it.

A status that the guest chose is odd, every status of the VMM's own is even (but for signals):

    odd       the guest wrote n to a debug-exit port: (n << 1 | 1) & 255
    0         reset, power-off, left by the user
    2         usage: the command line
    64 to 78  the VMM's own errors, even numbers of sysexits.h: see ERROR_STATUSES
    80        triple fault
    82        kernel panic on the console
    84        halted for ever
    86        killed for a hypercall
    124       timeout, as timeout(1) has it
    128 + n   signal n
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import ClassVar, Final

from hyperport.cpu.state import CpuState
from hyperport.errors import (
    AccessError,
    ConfigError,
    EngineError,
    FetchError,
    GuestError,
    ImageError,
    OutputError,
    StateError,
    ThreadError,
    UsageError,
)

STATUS_OK: Final = 0
STATUS_USAGE: Final = 2
STATUS_INTERNAL: Final = 70  # EX_SOFTWARE
STATUS_IO: Final = 74  # EX_IOERR
STATUS_TRIPLE_FAULT: Final = 80
STATUS_PANIC: Final = 82
STATUS_HALTED: Final = 84
STATUS_KILLED: Final = 86
STATUS_TIMEOUT: Final = 124
STATUS_SIGNAL: Final = 128

ERROR_STATUSES: Final[tuple[tuple[type[BaseException], int], ...]] = (
    (UsageError, STATUS_USAGE),
    (ImageError, 66),  # EX_NOINPUT
    (FetchError, 68),  # EX_NOHOST
    (EngineError, STATUS_INTERNAL),
    (OutputError, STATUS_IO),
    (ThreadError, STATUS_INTERNAL),
    (AccessError, STATUS_INTERNAL),
    (GuestError, STATUS_INTERNAL),
    (StateError, 76),  # EX_PROTOCOL
    (ConfigError, 78),  # EX_CONFIG
    (OSError, STATUS_IO),
)


def error_status(error: BaseException) -> int:
    """The exit status for an error that ended the VMM; an error nobody planned for is EX_SOFTWARE."""
    return next((status for kind, status in ERROR_STATUSES if isinstance(error, kind)), STATUS_INTERNAL)


class Outcome:
    """How a run ended. kind is the short name that --stats writes; str() is one line for people."""

    __slots__ = ()
    kind: ClassVar[str] = "outcome"

    @property
    def status(self) -> int:
        """Exit status for the process, 0 to 255."""
        return STATUS_OK


@dataclass(frozen=True, slots=True)
class GuestExit(Outcome):
    """The guest wrote value to a debug-exit port."""

    kind: ClassVar[str] = "guest-exit"
    value: int

    @property
    def status(self) -> int:
        """Always odd."""
        return (self.value << 1 | 1) & 0xFF

    def __str__(self) -> str:
        return f"the guest exited with value {self.value}"


@dataclass(frozen=True, slots=True)
class Reset(Outcome):
    """The guest pulled a reset line."""

    kind: ClassVar[str] = "reset"

    def __str__(self) -> str:
        return "the guest reset the machine"


@dataclass(frozen=True, slots=True)
class PowerOff(Outcome):
    """The guest asked the board to switch off."""

    kind: ClassVar[str] = "power-off"

    def __str__(self) -> str:
        return "the guest switched the machine off"


@dataclass(frozen=True, slots=True)
class TripleFault(Outcome):
    """A fault in the delivery of a double fault; state is the register file that the CPU was left with."""

    kind: ClassVar[str] = "triple-fault"
    state: CpuState

    @property
    def status(self) -> int:
        """80."""
        return STATUS_TRIPLE_FAULT

    def __str__(self) -> str:
        return f"triple fault at {self.state.cs.selector:04x}:{self.state.eip:08x}"


@dataclass(frozen=True, slots=True)
class HaltedForever(Outcome):
    """HLT with interrupts off: nothing in this machine can wake the vCPU."""

    kind: ClassVar[str] = "halted"
    state: CpuState

    @property
    def status(self) -> int:
        """84."""
        return STATUS_HALTED

    def __str__(self) -> str:
        return f"halted for ever at {self.state.cs.selector:04x}:{self.state.eip:08x}"


@dataclass(frozen=True, slots=True)
class Timeout(Outcome):
    """The time that the user gave, in seconds, is over."""

    kind: ClassVar[str] = "timeout"
    seconds: float

    @property
    def status(self) -> int:
        """124."""
        return STATUS_TIMEOUT

    def __str__(self) -> str:
        return f"stopped after {self.seconds:g} s, the time it was given"


@dataclass(frozen=True, slots=True)
class Panic(Outcome):
    """The console showed the end of a kernel panic; line is its first line."""

    kind: ClassVar[str] = "panic"
    line: str

    @property
    def status(self) -> int:
        """82."""
        return STATUS_PANIC

    def __str__(self) -> str:
        return f"the guest panicked: {self.line}"


@dataclass(frozen=True, slots=True)
class Quit(Outcome):
    """The user left, by the console's escape key or the monitor."""

    kind: ClassVar[str] = "quit"

    def __str__(self) -> str:
        return "left by the user"


@dataclass(frozen=True, slots=True)
class GuestKilled(Outcome):
    """A hypercall that its convention answers with the end of the guest; reason is one line."""

    kind: ClassVar[str] = "killed"
    reason: str

    @property
    def status(self) -> int:
        """86."""
        return STATUS_KILLED

    def __str__(self) -> str:
        return f"the guest was killed: {self.reason}"


@dataclass(frozen=True, slots=True)
class OutputLost(Outcome):
    """The host took no more of what the guest sent to a console or printer; reason is one line that names it."""

    kind: ClassVar[str] = "output-lost"
    reason: str

    @property
    def status(self) -> int:
        """74, EX_IOERR."""
        return STATUS_IO

    def __str__(self) -> str:
        return self.reason


@dataclass(frozen=True, slots=True)
class EngineAbort(Outcome):
    """The engine cannot go on with this guest; reason is one line, state the registers if they can be told."""

    kind: ClassVar[str] = "engine-abort"
    reason: str
    state: CpuState | None = None

    @property
    def status(self) -> int:
        """70, EX_SOFTWARE."""
        return STATUS_INTERNAL

    def __str__(self) -> str:
        return f"the engine stopped the guest: {self.reason}"


@dataclass(frozen=True, slots=True)
class Interrupted(Outcome):
    """The host process received signal signum."""

    kind: ClassVar[str] = "interrupted"
    signum: int

    @property
    def status(self) -> int:
        """128 + signum, as shells have it."""
        return STATUS_SIGNAL + self.signum

    def __str__(self) -> str:
        known = self.signum in signal.valid_signals()
        return f"stopped by {signal.Signals(self.signum).name if known else f'signal {self.signum}'}"
