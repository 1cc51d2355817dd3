# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine that a test scripts: type, expect, look, go on. Built on Machine; nothing runs beside the test.

The guest runs only inside run(), expect() and expect_exit(), on the thread that calls them. expect() lets it run until
the console has shown what is waited for, and stops it there: the backend looks at each piece of output as it is sent,
and asks for a pause. So between two calls memory, devices and the log of port accesses stand still and can be looked
at without locks, an assertion in a device model fails the test with its own traceback, and Ctrl-C works.
docs/decisions/0016-the-guest-runs-inside-expect.md tells what else was thought of.
"""

from __future__ import annotations

import codecs
import re
import time
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from hyperport.bus.access import Direction, PortAccess, Space
from hyperport.errors import ConfigError, EngineError
from hyperport.host.char import MemoryBackend
from hyperport.lines.attention import StopKind
from hyperport.machine.config import MachineConfig
from hyperport.machine.machine import Machine
from hyperport.observe.port_log import PortLog
from hyperport.observe.trace import trace_lines
from hyperport.outcome import GuestExit, Outcome, Quit, Timeout

DEFAULT_TIMEOUT_S: Final = 30.0
FEED_SLICE_S: Final = 0.02  # how long the guest runs before more input is fed, while some is left over
LOOK_SLICE_S: Final = 0.02  # and how long between two looks at the screen
WINDOW: Final = 64 << 10  # characters that a match may span
PENDING_LIMIT: Final = 1 << 20  # characters that wait for an expect(); when there are more, the oldest half is dropped
SHOWN_LINES: Final = 20
SHOWN_ACCESSES: Final = 20
SHOWN_DATA: Final = 16  # bytes of a string access

Ending = TypeVar("Ending", bound=Outcome)


class ExpectError(AssertionError):
    """The guest did not show, or did not end, as expected."""


class GuestMachine(Machine):
    """Machine, with a console to script on COM1 and a log of accesses to ports and device memory.

    timeout: seconds, for every call that gives none: a guest that hangs fails the test.
    record: ports whose accesses are logged; None for all, and device memory's (the last 65,536). Other arguments: as
    for Machine.
    """

    def __init__(
        self,
        config: MachineConfig | None = None,
        *,
        timeout: float = DEFAULT_TIMEOUT_S,
        record: Iterable[int] | None = None,
        **settings: Any,
    ) -> None:
        if "serial" in settings:
            raise ConfigError("the console of a GuestMachine is its own: use send() and expect(), or a plain Machine")
        self.default_timeout = timeout
        self.outcome: Outcome | None = None  # how the run ended, once it has
        self.pending = ""  # console text after the last match, newlines plain
        self.console = MemoryBackend(listener=self._heard)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._carry = ""  # a CR whose LF may come
        self._wanted: re.Pattern[str] | None = None
        self._match: re.Match[str] | None = None
        self._received = self._match_end = 0  # characters since power-on
        self._unsent = b""
        self.log = PortLog(record)
        super().__init__(config, serial=self.console, **settings)
        self.bus.observe(self.log)

    # Run.

    def run(self, timeout: float | None = None, monitor: Callable[[Machine], str] | None = None) -> Outcome:
        """As Machine.run(), with the machine's timeout if none is given; the outcome is kept in `outcome`."""
        deadline = time.monotonic() + (self.default_timeout if timeout is None else timeout)
        while True:
            self._feed()
            left = max(0.0, deadline - time.monotonic())
            outcome = super().run(min(left, FEED_SLICE_S) if self._unsent else left, monitor)
            if not isinstance(outcome, Timeout):
                break
            if time.monotonic() >= deadline:
                return Timeout(self.default_timeout if timeout is None else timeout)
        if not isinstance(outcome, Quit):
            self.outcome = outcome
        return outcome

    def send(self, text: str | bytes) -> None:
        """Type text on the console. The guest reads it when it runs; what its buffers cannot hold follows then."""
        self._unsent += text.encode() if isinstance(text, str) else text
        self._feed()

    def expect(self, pattern: str | re.Pattern[str], timeout: float | None = None) -> re.Match[str]:
        """Let the guest run until the console shows pattern, a regular expression; returns the match.

        Looks at what was written since the last match, newlines plain; the text up to the end of the match is then
        used up. `match.string[: match.start()]` is what came before it. Raises ExpectError when the time is over or
        the guest has ended.
        """
        __tracebackhide__ = True  # pytest shows the test's line
        wanted = re.compile(pattern) if isinstance(pattern, str) else pattern
        limit = self.default_timeout if timeout is None else timeout
        deadline = time.monotonic() + limit
        self._wanted, self._match = wanted, None
        ended: Outcome | None = self.outcome
        try:
            match = self._search(self.pending)
            while match is None and ended is None:
                outcome = self.run(max(0.0, deadline - time.monotonic()), monitor=lambda _: Quit.kind)
                if not isinstance(outcome, Quit):  # else a pause: of ours, or one left over from before
                    ended = outcome
                match = self._match
        finally:
            self._wanted = None
            self.attention.withdraw(StopKind.PAUSE)
        if match is None:
            why = f"{limit:g} s are over" if isinstance(ended, Timeout) else str(ended)
            raise ExpectError(f"the console did not show {wanted.pattern!r}: {why}; {self._last_words()}")
        self.pending = self.pending[len(self.pending) - (self._received - self._match_end) :]
        return match

    def expect_screen(self, pattern: str | re.Pattern[str], timeout: float | None = None) -> re.Match[str]:
        """Let the guest run until the VGA's screen shows pattern, a regular expression; returns the match.

        Looks at the screen as it is, its lines joined by newlines, and again after every 20 ms that the guest has run:
        what was there for less may be missed, nothing is used up, and the guest may have gone on. Raises ExpectError
        when the time is over or the guest has ended without it.
        """
        __tracebackhide__ = True
        wanted = re.compile(pattern) if isinstance(pattern, str) else pattern
        limit = self.default_timeout if timeout is None else timeout
        deadline = time.monotonic() + limit
        ended = self.outcome
        while True:
            match = wanted.search("\n".join(self.display.text()))
            if match is not None:
                return match
            left = deadline - time.monotonic()
            if ended is not None or left <= 0:
                why = str(ended) if ended is not None else f"{limit:g} s are over"
                raise ExpectError(f"the screen did not show {wanted.pattern!r}: {why}; {self._screens_last_words()}")
            outcome = self.run(min(left, LOOK_SLICE_S))
            ended = None if isinstance(outcome, Timeout) else outcome

    def expect_outcome(self, kind: type[Ending], timeout: float | None = None) -> Ending:
        """Let the guest run to its end, which must be of this kind (PowerOff, Reset, TripleFault, ...); returns it."""
        __tracebackhide__ = True
        outcome = self.outcome or self.run(timeout)
        if not isinstance(outcome, kind):
            raise ExpectError(f"{outcome}, where {kind.__name__} was expected; {self._last_words()}")
        return outcome

    def expect_exit(self, value: int = 0, timeout: float | None = None) -> None:
        """Let the guest run to its end: it must write value to the debug-exit port, as main() does with its result."""
        __tracebackhide__ = True
        outcome = self.expect_outcome(GuestExit, timeout)
        if outcome.value != value:
            raise ExpectError(f"{outcome}, not {value}; {self._last_words()}")

    # Look.

    @property
    def text(self) -> str:
        """All that the console has shown, newlines plain."""
        return self.console.output().decode("utf-8", "replace").replace("\r\n", "\n")

    def accesses(
        self, port: int | None = None, direction: Direction | None = None, space: Space = Space.PORT
    ) -> list[PortAccess]:
        """The accesses that began at port (None: at any), oldest first; with Space.MEMORY at a physical address.

        A string access is one, with its count. Raises ExpectError if accesses of port are no longer in the log:
        then give the machine record=, or clear `log` before the part that matters.
        """
        if space == Space.MEMORY and not self.log.complete(0, space):
            raise ExpectError("accesses of device memory are not all in the log: leave out record=, or clear the log")
        if space == Space.PORT and port is not None and not self.log.complete(port):
            raise ExpectError(f"accesses of port {port:#x} are not all in the log: give the machine record=[{port:#x}]")
        rows = self.log.accesses(port, space=space)
        return [row for row in rows if direction is None or row.direction == direction]

    def read(self, port: int) -> list[int]:
        """What the guest read at port: one number for each element."""
        return _elements(self.accesses(port, Direction.IN))

    def written(self, port: int) -> list[int]:
        """What the guest wrote to port: one number for each element."""
        return _elements(self.accesses(port, Direction.OUT))

    def loaded(self, address: int) -> list[int]:
        """What the guest loaded from device memory at a physical address: one number for each load."""
        return _elements(self.accesses(address, Direction.IN, Space.MEMORY))

    def stored(self, address: int) -> list[int]:
        """What the guest stored in device memory there."""
        return _elements(self.accesses(address, Direction.OUT, Space.MEMORY))

    def report(self) -> dict[str, str]:
        """What a person wants to see when a test has failed: title -> text."""
        try:
            state = self.engine.state()
            at = f"at {state.cs.selector:04x}:{state.eip:08x}"
        except EngineError:
            at = "closed"
        lines = self.text.splitlines()
        rows = [_shown(row) for row in self.log.accesses(limit=SHOWN_ACCESSES)]
        screen = "\n".join(self.display.text()).rstrip()
        ended = "not at its end" if self.outcome is None else str(self.outcome)
        return {
            "machine": f"engine {self.engine.name}, path {self.config.io}: {ended}, {at}",
            f"console, last {SHOWN_LINES} lines": "\n".join(lines[-SHOWN_LINES:]) or "(nothing)",
            f"accesses, last {SHOWN_ACCESSES}": "\n".join(rows) or "(none)",
        } | ({"screen": screen} if screen else {})

    def _last_words(self) -> str:
        lines = [line for line in self.text.splitlines() if line.strip()]
        return f"its last line: {lines[-1]!r}" if lines else "the console is empty"

    def _screens_last_words(self) -> str:
        lines = self.display.text()
        shown = [line for line in lines if line]
        return f"its last line: {shown[-1]!r}" if shown else "it is blank" if lines else "it is in a graphics mode"

    # Console.

    def _feed(self) -> None:
        self._unsent = self._unsent[self.console.feed(self._unsent) :]

    def _heard(self, data: bytes) -> None:
        """Output of the guest, on its way to the console's memory."""
        text = self._carry + self._decoder.decode(data)
        self._carry = "\r" if text.endswith("\r") else ""
        text = text.removesuffix(self._carry).replace("\r\n", "\n")
        self.pending += text
        self._received += len(text)
        if len(self.pending) > PENDING_LIMIT:
            self.pending = self.pending[-PENDING_LIMIT // 2 :]
        self._search(self.pending[-WINDOW:])

    def _search(self, text: str) -> re.Match[str] | None:
        """Look for what expect() wants in text, the last that was received; if it is there, ask for a pause."""
        if self._wanted is not None and self._match is None:
            self._match = self._wanted.search(text)
            if self._match is not None:
                self._match_end = self._received - len(text) + self._match.end()
                self.attention.stop(StopKind.PAUSE)
        return self._match


def _elements(accesses: Iterable[PortAccess]) -> list[int]:
    return [
        int.from_bytes(row.data[at : at + row.size], "little")
        for row in accesses
        for at in range(0, len(row.data), row.size)
    ]


def _shown(access: PortAccess) -> str:
    """An access as in --trace-ports, a string in one line."""
    if access.count == 1:
        return trace_lines(access).strip()
    more = "..." if len(access.data) > SHOWN_DATA else ""
    head = trace_lines(access).split("\n")[0].rpartition(" ")[0]
    return f"{head} x {access.count}: {access.data[:SHOWN_DATA].hex(' ', access.size)}{more}"
