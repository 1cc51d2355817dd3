# SPDX-License-Identifier: GPL-2.0-or-later
"""The monitor behind Ctrl-a c: look at a machine that is held, on the terminal in its ordinary mode."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

from hyperport.errors import HostError, HyperportError
from hyperport.host.files import write_whole
from hyperport.host.specs import parse_floppy
from hyperport.observe.report import port_table
from hyperport.outcome import Quit

CONTINUE: Final = "cont"
QUIT: Final = Quit.kind
PROMPT: Final = "(hyperport) "


class Lines(Protocol):
    """Where commands come from: the console, while the guest is held."""

    def read_line(self, give_up: Callable[[], bool]) -> str | None:
        """The next line, None at the end of input or when give_up() says so."""

    def resume(self) -> None:
        """Give the console back to the guest."""


def registers(machine: Any) -> str:
    """The vCPU's register file."""
    return f"{machine.engine.state().describe()}\n"


def ports(machine: Any) -> str:
    """The port-access table."""
    return port_table(machine.bus.counts())


def devices(machine: Any) -> str:
    """The port map."""
    return "".join(f"  {first:04x}-{last:04x}  {name}\n" for first, last, name in machine.bus.map())


def screen(machine: Any) -> str:
    """The lines on the VGA's screen."""
    lines = machine.display.text()
    return "".join(f"  {line}\n" for line in lines) if lines else "  the screen is in a graphics mode\n"


def screenshot(machine: Any, path: str) -> str:
    """Write a picture of the screen."""
    try:
        write_whole(Path(path), machine.display.png())
    except OSError as error:
        return f"{path}: {error.strerror}; name another file\n"
    return f"  written: {path}\n"


def save(machine: Any, path: str) -> str:
    """Write the whole machine to a file, from which --restore goes on."""
    try:
        size = machine.save(path)
    except HostError as error:
        return f"{error}\n"
    return f"  saved: {path}, {size} bytes\n"


def change_floppy(machine: Any, words: str) -> str:
    """Put another floppy, or none, into a drive."""
    place, _, given = words.partition(" ")
    try:
        if given.strip():
            spec = parse_floppy(given.strip())
            machine.drives.change_floppy(place, spec.path, read_only=spec.read_only)
        else:
            machine.drives.change_floppy(place, None)
    except HyperportError as error:
        return f"{error}\n"
    return f"  {place}: {given.strip() or 'empty'}\n"


def change_disc(machine: Any, words: str) -> str:
    """Lay another disc, or none, into a CD-ROM drive."""
    place, _, path = words.partition(" ")
    try:
        done = machine.drives.change_disc(place, Path(path.strip()) if path.strip() else None)
    except HyperportError as error:
        return f"{error}\n"
    return f"  {place}: {path.strip() or 'empty'}\n" if done else f"{place}: the guest has locked the tray\n"


def move_mouse(machine: Any, words: str) -> str:
    """Move the mouse, turn its wheel, or click."""
    given = words.split()
    try:
        done = machine.mouse.click(given[0]) if len(given) == 1 else machine.mouse.move(*map(int, given[:3]))
    except (HyperportError, ValueError) as error:
        return f"{error}\n"
    return "" if done else "too much waits for the guest\n"


def reset(machine: Any, _words: str) -> str:
    """Pull the board's RESET line: what started the machine starts it again."""
    try:
        machine.reset()
    except HyperportError as error:
        return f"{error}\n"
    return ""


def press_keys(machine: Any, words: str) -> str:
    """Press keys together and let them go."""
    try:
        done = machine.keys.press(*words.split())
    except HyperportError as error:
        return f"{error}\n"
    return "" if done else "too much waits for the guest\n"


def type_text(machine: Any, text: str) -> str:
    """Type a line, and Enter behind it."""
    try:
        typed = machine.type(text + "\n")
    except HyperportError as error:
        return f"{error}\n"
    return "" if typed > len(text) else f"too much waits for the guest: {typed} characters of it are typed\n"


SHOWS: Final[dict[str, tuple[str, Callable[[Any], str]]]] = {
    "help": ("show this list", lambda _: help_text()),
    "registers": ("show the vCPU's registers", registers),
    "ports": ("show the port accesses so far", ports),
    "devices": ("show which device has which ports", devices),
    "screen": ("show the text on the VGA's screen", screen),
}
WRITES: Final[dict[str, tuple[str, Callable[[Any, str], str]]]] = {
    "save": ("write the whole machine to a file, for --restore: save FILE", save),
    "screenshot": ("write a picture of the screen: screenshot FILE.png", screenshot),
    "reset": ("reset the machine: it starts again", reset),
    "floppy": ("put a floppy in: floppy fda FILE[,ro], or out: floppy fda", change_floppy),
    "keys": ("press keys together: keys ctrl alt delete", press_keys),
    "type": ("type a line on the guest's keyboard: type TEXT", type_text),
    "mouse": ("move the mouse: mouse RIGHT DOWN [WHEEL], or click: mouse left", move_mouse),
    "cdrom": ("lay a disc in: cdrom hdc FILE, or take it out: cdrom hdc", change_disc),
}
ENDS: Final[dict[str, str]] = {
    CONTINUE: "let the guest go on",
    QUIT: "end the guest and leave",
}


def help_text() -> str:
    """All commands, one a line."""
    rows = {name: text for table in (SHOWS, WRITES) for name, (text, _) in table.items()} | ENDS
    return "".join(f"  {name:<12}{text}\n" for name, text in rows.items())


class Monitor:
    """What Machine.run() calls with the machine while the user wants the monitor. Returns CONTINUE or QUIT."""

    def __init__(self, lines: Lines, give_up: Callable[[], bool] = lambda: False) -> None:
        self.lines = lines
        self.give_up = give_up

    def __call__(self, machine: Any) -> str:
        """Obey commands until one of them ends the monitor."""
        _say("\nthe guest is held; help shows the commands\n")
        while True:
            _say(PROMPT)
            line = self.lines.read_line(self.give_up)
            if line is None:  # given up: the machine has been asked to stop already
                return CONTINUE if self.give_up() else QUIT
            end = self.obey(machine, line.strip())
            if end == CONTINUE:
                self.lines.resume()
            if end is not None:
                return end

    def obey(self, machine: Any, line: str) -> str | None:
        """Do one command, whose name may be shortened as long as it stays clear; returns the end it asks for."""
        if not line:
            return None
        word, _, argument = line.partition(" ")
        names = WRITES if argument else (*SHOWS, *WRITES, *ENDS)
        fitting = [word] if word in names else [name for name in names if name.startswith(word)]
        if len(fitting) != 1:
            _say(f"{line}: {'could be ' + ', '.join(fitting) if fitting else 'no such command; try help'}\n")
            return None
        name = fitting[0]
        if name in WRITES and not argument:
            _say(f"{name}: {WRITES[name][0]}\n")
            return None
        if name in ENDS:
            return name
        _say(WRITES[name][1](machine, argument.strip()) if name in WRITES else SHOWS[name][1](machine))
        return None


def _say(text: str) -> None:
    print(text, end="", file=sys.stderr, flush=True)
