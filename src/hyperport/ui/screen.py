# SPDX-License-Identifier: GPL-2.0-or-later
"""--display term: the guest's screen live in the user's terminal, and the user's keys on the guest's keyboard.

A thread looks at the screen twenty times a second and writes the lines that have changed. It reads the VGA's registers
and text memory and touches no device. What the guest wrote comes out as glyphs of code page 437, never as the control
characters that they may also mean. The terminal is on its alternate screen meanwhile, and back on every way out.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import sys
import threading
from typing import Final

from hyperport.errors import AccessError, UsageError
from hyperport.host.channel import Events, RequestStop
from hyperport.host.char import CharBackend
from hyperport.host.streams import STDIN, STDOUT
from hyperport.host.terminal import Terminal
from hyperport.ui.console import StdioChannel
from hyperport.ui.display import CHARACTERS, Display, Screen, Source
from hyperport.ui.escape import help_text, key_name
from hyperport.ui.keyboard import Keyboard, keys_for
from hyperport.ui.options import CONTROL_A

PERIOD_S: Final = 0.05
PATIENCE_S: Final = 1.0  # for a terminal that takes no output, before it is left as it is
STROKE_BYTES: Final = 12  # most scan codes for one byte that is typed

ENTER: Final = "\x1b[?1049h\x1b[2J"  # xterm's alternate screen, cleared
LEAVE: Final = "\x1b[0m\x1b[?25h\x1b[?1049l"
SHADES: Final = " ░▒▓█"
ANSI: Final = (0, 4, 2, 6, 1, 5, 3, 7)  # VGA counts blue, green, red; terminals the other way round

ARROWS: Final = ("up", "down", "right", "left", "home", "end")
EDITING: Final = {1: "home", 2: "insert", 3: "delete", 4: "end", 5: "pageup", 6: "pagedown", 7: "home", 8: "end"}
SEQUENCE: Final = re.compile(r"\x1b(?:\[[0-9;]*[A-Za-z~]|O[A-Za-z])|\x1b[^\x1b]|.", re.DOTALL)
SEQUENCES: Final = {  # what xterm sends for keys without a character
    **{f"\x1b{kind}{end}": key for kind in "[O" for end, key in zip("ABCDHF", ARROWS, strict=True)},
    **{f"\x1b[{number}~": key for number, key in EDITING.items()},
    **{f"\x1bO{end}": f"f{number}" for number, end in enumerate("PQRS", 1)},
    **{f"\x1b[{number}~": f"f{key}" for key, number in enumerate((11, 12, 13, 14, 15, 17, 18, 19, 20, 21, 23, 24), 1)},
}


class TerminalKeys(CharBackend):
    """Takes bytes as a terminal sends them and presses the keys that a user has meant."""

    def __init__(self, keyboard: Keyboard) -> None:
        super().__init__()
        self.keyboard = keyboard

    def room(self) -> int:
        """How many bytes feed() takes for sure."""
        return self.keyboard.room() // STROKE_BYTES

    def feed(self, data: bytes | bytearray) -> int:
        """Press the keys; a sequence or character that a US keyboard does not have is passed over."""
        for part in SEQUENCE.findall(data.decode("latin-1")):
            self._press(part)
        return len(data)

    def _press(self, part: str) -> None:
        if part in SEQUENCES:
            self.keyboard.press(SEQUENCES[part])
            return
        held = ("alt",) if len(part) == 2 else ()
        try:
            keys = keys_for(part[-1])
        except AccessError:
            return
        if len(part) <= 2:
            self.keyboard.press(*held, *keys)


class ScreenTerminal(Terminal):
    """A terminal that shows a screen while it is in raw mode. show() may be called from any thread."""

    farewell = LEAVE.encode()

    def __init__(self, fd: int, out: int) -> None:
        super().__init__(fd)
        self.out = out
        self.shown = False
        self.fresh = False  # nothing has been painted since it was shown
        self._writing = threading.Lock()

    def enter(self) -> None:
        """Take raw mode and the alternate screen."""
        super().enter()
        self._begin()

    def leave(self) -> None:
        """Give the terminal back as it was found."""
        self._end()
        super().leave()

    def suspend(self) -> None:
        """The process is about to be stopped."""
        self._end()
        super().suspend()

    def resume(self) -> None:
        """The process runs again."""
        super().resume()
        if self.raw and self.in_foreground():
            self._begin()

    def show(self, text: str) -> None:
        """Write text, if the screen is shown."""
        with self._writing:
            if self.shown:
                self._write(text)

    def _begin(self) -> None:
        with self._writing:
            self.shown = self.fresh = True
            self._write(ENTER)

    def _end(self) -> None:
        was_shown, self.shown = self.shown, False
        if self._writing.acquire(timeout=PATIENCE_S):
            try:
                if was_shown and select.select([], [self.out], [], PATIENCE_S)[1]:
                    self._write(LEAVE)
            finally:
                self._writing.release()

    def _write(self, text: str) -> None:
        data = text.encode(sys.stdout.encoding or "utf-8", "replace")
        while data:
            try:
                data = data[os.write(self.out, data) :]
            except BlockingIOError:  # somebody has made the terminal so
                select.select([], [self.out], [], PATIENCE_S)
            except OSError:  # the terminal has gone
                return


class Painter:
    """What to write so that a terminal shows the screen; it knows what is there. message: lines over the screen."""

    def __init__(self, *, colours: bool = True) -> None:
        self.colours = colours
        self.size = (0, 0)
        self.lines: list[str] = []
        self.message: list[str] = []
        self.source: Source | None = None  # what blocks were made of
        self.blocks: list[str] = []

    def frame(self, screen: Screen, size: tuple[int, int], *, fresh: bool = False) -> str:
        """The text that brings a terminal of size (columns, lines) from the last screen to this one."""
        out = []
        if fresh or size != self.size:
            out.append("\x1b[0m\x1b[2J")
            self.size, self.lines, self.source = size, [], None
        columns, height = size
        lines = self._lines(screen, columns, height)[:height]
        if self.message:
            first = max(0, min(len(lines), height) - len(self.message))
            lines[first:] = [f"\x1b[7m{line:<{columns}.{columns}}\x1b[0m" for line in self.message]
        self.lines += [""] * (height - len(self.lines))
        lines += [""] * (height - len(lines))
        for row, line in enumerate(lines[:height]):
            if line != self.lines[row]:
                out.append(f"\x1b[{row + 1};1H{line}\x1b[0m\x1b[K")
        self.lines = lines[:height]
        cursor = screen.cursor
        if cursor and screen.lit and cursor.column < columns and cursor.row < height and not self.message:
            out.append(f"\x1b[{cursor.row + 1};{cursor.column + 1}H\x1b[?25h")
        else:
            out.append("\x1b[?25l")
        return "".join(out)

    def _lines(self, screen: Screen, columns: int, height: int) -> list[str]:
        if not screen.lit:
            return []
        if not screen.rows:
            return self._blocks(screen, columns, height)
        return [self._line(row[: 2 * columns], blinks=screen.blinks) for row in screen.rows]

    def _blocks(self, screen: Screen, columns: int, height: int) -> list[str]:
        """A picture, as wide or as high as the terminal: a character is two pixels, one above the other."""
        if screen.source != self.source:
            picture = screen.picture()
            scale = min(columns / picture.width, 2 * height / picture.height, 1)
            wide, high = max(1, int(picture.width * scale)), max(1, int(picture.height * scale / 2))
            drawn = picture.smaller(wide, 2 * high)
            rows = [drawn[at : at + 3 * wide] for at in range(0, len(drawn), 3 * wide)]
            draw = _half_blocks if self.colours else _shades
            self.source, self.blocks = screen.source, [draw(*pair) for pair in zip(rows[::2], rows[1::2], strict=True)]
        return list(self.blocks)

    def _line(self, row: bytes, *, blinks: bool) -> str:
        """One row, with the colours that change in it."""
        while row.endswith((b" \x07", b"\0\x07")):
            row = row[:-2]
        out, before = [], 7
        for code, attribute in zip(row[::2], row[1::2], strict=True):
            if attribute != before and self.colours:
                out.append(_rendition(attribute, blinks=blinks))
                before = attribute
            out.append(CHARACTERS[code])
        return "".join(out)


def _half_blocks(upper: bytes, lower: bytes) -> str:
    """Two lines of pixels as one of characters: each is an upper half in one colour on another, of 24 bits."""
    out, before = [], b""
    for at in range(0, len(upper), 3):
        both = upper[at : at + 3] + lower[at : at + 3]
        if both != before:
            out.append("\x1b[38;2;{};{};{};48;2;{};{};{}m".format(*both))
            before = both
        out.append("▀")
    return "".join(out)


def _shades(upper: bytes, lower: bytes) -> str:
    """The same without colours: by brightness."""
    both = (upper[at : at + 3] + lower[at : at + 3] for at in range(0, len(upper), 3))
    return "".join(SHADES[sum(parts) * len(SHADES) // (6 * 256)] for parts in both).rstrip()


def _rendition(attribute: int, *, blinks: bool) -> str:
    """The escape sequence for an attribute."""
    foreground = (90 if attribute & 8 else 30) + ANSI[attribute & 7]
    background = (100 if attribute & 0x80 and not blinks else 40) + ANSI[attribute >> 4 & 7]
    if attribute == 7:
        return "\x1b[0m"
    plain = "" if background == 40 else f";{background}"
    return f"\x1b[0;{'5;' if attribute & 0x80 and blinks else ''}{foreground}{plain}m"


class ScreenChannel(StdioChannel):
    """The user's terminal as the guest's screen and keyboard, with the console's escape key."""

    def __init__(self, display: Display, keyboard: Keyboard, escape_key: int = CONTROL_A) -> None:
        require_terminal()
        super().__init__(escape_key)
        self.backend = TerminalKeys(keyboard)
        self.screen_terminal = self.terminal = ScreenTerminal(STDIN, STDOUT)
        self.display = display
        self.painter = Painter(colours="NO_COLOR" not in os.environ)
        self.ended = threading.Event()
        self.thread: threading.Thread | None = None

    def start(self, events: Events, request_stop: RequestStop) -> None:
        """Show the screen and take keys from now."""
        self.events = events
        self.request_stop = request_stop
        if self.scanner:
            name = key_name(self.scanner.key)
            self.painter.message = [f"{name} x ends the guest, {name} h shows the other keys"]
        self.ended.clear()
        self.screen_terminal.enter()
        self.thread = threading.Thread(target=self._paint, name="hyperport-screen", daemon=True)
        self.thread.start()
        events.watch(STDIN, self._readable)

    def stop(self) -> None:
        """Show the last of the screen, then give the terminal back."""
        self.ended.set()
        if self.thread:
            self.thread.join(PATIENCE_S)
            self.thread = None
        super().stop()

    def _paint(self) -> None:
        while not self.ended.wait(PERIOD_S):
            if self.screen_terminal.shown:
                fresh, self.screen_terminal.fresh = self.screen_terminal.fresh, False
                columns, lines = shutil.get_terminal_size()
                self.screen_terminal.show(self.painter.frame(self.display.screen(), (columns, lines), fresh=fresh))

    def _readable(self) -> bool:
        self.painter.message = []
        return super()._readable()

    def _say(self, text: str) -> None:
        self.painter.message = [text]

    def _help(self, key: int) -> None:
        self.painter.message = help_text(key).splitlines()


def require_terminal() -> None:
    """Raise UsageError unless there is a terminal to show a screen on."""
    if not (os.isatty(STDIN) and os.isatty(STDOUT)):
        raise UsageError("display term: stdin and stdout are no terminal; use --screenshot FILE.png, or run in one")
