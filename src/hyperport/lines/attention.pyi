# SPDX-License-Identifier: GPL-2.0-or-later
from enum import IntEnum

from hyperport.lines.listener import Listener

class StopKind(IntEnum):
    NONE = 0
    HALT = 1
    GUEST_EXIT = 2
    RESET = 3
    POWER_OFF = 4
    TRIPLE_FAULT = 5
    PANIC = 6
    ENGINE_ABORT = 7
    DEVICE_ERROR = 8
    SIGNAL = 9
    TIMEOUT = 10
    QUIT = 11
    PAUSE = 12
    GUEST_KILLED = 13
    RESTART = 14

class Pulled(IntEnum):
    NOTHING = 0
    CPU = 1
    BOARD = 2

class Attention:
    event_fd: int
    def stop(
        self, kind: int, value: int = 0, failure: BaseException | None = None, text: str | None = None
    ) -> None: ...
    def take_stop(self) -> tuple[StopKind, int, BaseException | None, str | None]: ...
    def withdraw(self, kind: int) -> None: ...
    def wait_ns(self, timeout_ns: int | None) -> bool: ...
    def stop_pending(self) -> bool: ...
    def pending_flags(self) -> int: ...

class StopPin(Listener):
    def __init__(self, attention: Attention) -> None: ...

class ResetPin(Listener):
    ends: bool
    def __init__(self, attention: Attention, ends: bool = True) -> None: ...
    def pull(self, line: int) -> None: ...
    def pulled(self) -> Pulled: ...
    def take(self) -> Pulled: ...
