# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest's screen in a terminal: what is written there shows it, and what is typed there is pressed."""

from __future__ import annotations

import os
import re
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperport.devices.vbe_dispi import VbeDispi
from hyperport.devices.vga import Vga
from hyperport.host.char import CharBackend
from hyperport.memory.ram import TEXT_ADDRESS, GuestMemory
from hyperport.time.clock import VirtualClock
from hyperport.ui.display import CHARACTERS, Display
from hyperport.ui.keyboard import Keyboard, stroke
from hyperport.ui.screen import Painter, TerminalKeys

from ..conftest import machine_code, run_command

PIECES = re.compile(r"\x1b\[(\??[0-9;]*)([A-Za-z])|([^\x1b])", re.DOTALL)


class Terminal:
    """As much of a terminal as frames need."""

    def __init__(self, columns: int, lines: int) -> None:
        self.size = (columns, lines)
        self.grid = [["?"] * columns for _ in range(lines)]
        self.row = self.column = 0
        self.cursor_shown = True

    def write(self, text: str) -> None:
        columns, lines = self.size
        for parameters, final, character in PIECES.findall(text):
            if final == "H":
                self.row, self.column = (int(number) - 1 for number in parameters.split(";"))
            elif final == "J":
                self.grid = [[" "] * columns for _ in range(lines)]
            elif final == "K":
                self.grid[self.row][self.column :] = [" "] * (columns - self.column)
            elif final in "hl" and parameters == "?25":
                self.cursor_shown = final == "h"
            elif character:
                assert character.isprintable() or character == "\xa0"
                self.grid[self.row][self.column] = character
                self.column += 1

    def text(self) -> list[str]:
        return ["".join(row).rstrip() for row in self.grid]


def make_display() -> tuple[Display, GuestMemory]:
    """A display, and the memory that its text is in."""
    memory = GuestMemory(1 << 20)
    vga = Vga(VirtualClock(), memory)
    return Display(vga, VbeDispi(vga)), memory


WRITES = st.lists(st.tuples(st.integers(0, 80 * 25 - 8), st.binary(min_size=1, max_size=16)), max_size=12)


@settings(max_examples=50)
@given(st.lists(st.tuples(WRITES, st.sampled_from([(80, 25), (80, 24), (100, 40), (20, 5)])), max_size=5))
def test_a_terminal_shows_the_screen_after_every_frame(steps: list[tuple[Any, tuple[int, int]]]) -> None:
    (display, memory), painter = make_display(), Painter()
    terminal = Terminal(1, 1)
    for writes, size in steps:
        for at, data in writes:
            memory.write(TEXT_ADDRESS + 2 * at, data)
        if size != terminal.size:
            terminal = Terminal(*size)
        terminal.write(painter.frame(display.screen(), size))
        shown = [line[: size[0]].rstrip() for line in display.text()[: size[1]]]
        assert [line.rstrip("\xa0 ") for line in terminal.text()[: len(shown)]] == [line.rstrip() for line in shown]


def test_only_what_has_changed_is_written() -> None:
    (display, memory), painter = make_display(), Painter()
    painter.frame(display.screen(), (80, 25))
    assert len(painter.frame(display.screen(), (80, 25))) < 20
    memory.write(TEXT_ADDRESS + 160 * 7, b"x\x07")
    frame = painter.frame(display.screen(), (80, 25))
    assert re.findall(r"\x1b\[(\d+);1H", frame) == ["8", "1"]  # the line, and the cursor's place
    assert "x" in painter.frame(display.screen(), (80, 25), fresh=True)


def test_colours_are_the_terminals_and_can_be_left_out() -> None:
    display, memory = make_display()
    memory.write(TEXT_ADDRESS, b"a\x1eb\x84c\x07d\x70")
    frame = Painter().frame(display.screen(), (80, 25))
    assert "\x1b[0;93;44ma\x1b[0;5;31mb\x1b[0mc\x1b[0;30;47md\x1b[0m\x1b[K" in frame
    assert "abcd" in Painter(colours=False).frame(display.screen(), (80, 25))


class Graphics:
    """A display of 8 by 4 pixels by the frame buffer, each of a colour of its own."""

    def __init__(self) -> None:
        self.memory = GuestMemory(1 << 20)
        self.vga = Vga(VirtualClock(), self.memory)
        self.dispi = VbeDispi(self.vga)
        self.display = Display(self.vga, self.dispi)
        for register, value in ((1, 8), (2, 4), (3, 32), (4, 0x41)):
            self.dispi.write(0, 2, register)
            self.dispi.write(1, 2, value)
        self.frame = next(region for region in self.memory.map.regions() if region.name == "vga-memory")
        self.frame.write(0, b"".join(bytes([16 * x, 64 * y, 3, 0]) for y in range(4) for x in range(8)))


def test_a_picture_is_drawn_in_half_blocks() -> None:
    display = Graphics().display
    frame = Painter().frame(display.screen(), (80, 25))
    lines = re.findall(r"\x1b\[(\d+);1H(.*?)\x1b\[0m\x1b\[K", frame)
    assert [number for number, _ in lines] == ["1", "2"], "no larger than the picture"
    cells = [re.findall(r"\x1b\[38;2;(\d+);(\d+);(\d+);48;2;(\d+);(\d+);(\d+)m▀", line) for _, line in lines]
    assert [[tuple(map(int, cell)) for cell in row] for row in cells] == [
        [(3, 128 * row, 16 * x, 3, 128 * row + 64, 16 * x) for x in range(8)] for row in range(2)
    ]
    assert "\x1b[?25l" in frame


def test_a_picture_fits_the_terminal() -> None:
    rig, painter = Graphics(), Painter()
    for size, shape in (((4, 9), (4, 1)), ((80, 1), (4, 1)), ((1, 1), (1, 1)), ((8, 25), (8, 2))):
        frame = painter.frame(rig.display.screen(), size)
        lines = [line for line in frame.split("\x1b[K") if "▀" in line]
        assert ({line.count("▀") for line in lines}, len(lines)) == ({shape[0]}, shape[1]), size


def test_a_picture_that_stays_is_not_drawn_again() -> None:
    rig, painter = Graphics(), Painter()
    painter.frame(rig.display.screen(), (80, 25))
    assert "▀" not in painter.frame(rig.display.screen(), (80, 25))
    rig.frame.write(8 * 4 * 3, b"\xff\xff\xff")
    again = painter.frame(rig.display.screen(), (80, 25))
    assert re.findall(r"\x1b\[(\d+);1H", again) == ["2"]
    painter.message = ["a message"]
    assert "a message" in painter.frame(rig.display.screen(), (80, 25))
    painter.message = []
    assert "▀" in painter.frame(rig.display.screen(), (80, 25))


def test_a_picture_without_colours_has_shades() -> None:
    rig = Graphics()
    rig.frame.write(0, bytes(8 * 4 * 2) + b"\xff" * (8 * 4 * 2))
    frame = Painter(colours=False).frame(rig.display.screen(), (80, 25))
    assert "\x1b[2;1H" + "█" * 8 in frame
    assert "38;2" not in frame


def test_a_message_lies_over_the_screen_until_it_is_taken_away() -> None:
    (display, memory), painter, terminal = make_display(), Painter(), Terminal(80, 25)
    memory.write(TEXT_ADDRESS + 160 * 24, b"l\x07a\x07s\x07t\x07")
    painter.message = ["one", "two"]
    terminal.write(painter.frame(display.screen(), (80, 25)))
    assert terminal.text()[23:] == ["one", "two"]
    painter.message = []
    terminal.write(painter.frame(display.screen(), (80, 25)))
    assert terminal.text()[23:] == ["", "last"]


@pytest.mark.parametrize(
    ("typed", "keys"),
    [
        (b"aB", [("a",), ("shift", "b")]),
        (b"\r\t\x7f", [("enter",), ("tab",), ("backspace",)]),
        (b"\x03\x1a", [("ctrl", "c"), ("ctrl", "z")]),
        (b"\x1b", [("escape",)]),
        (b"\x1b[A\x1bOB\x1b[3~\x1b[5~", [("up",), ("down",), ("delete",), ("pageup",)]),
        (b"\x1bOP\x1b[24~", [("f1",), ("f12",)]),
        (b"\x1bx\x1bX", [("alt", "x"), ("alt", "shift", "x")]),
        ("é\x1b[1;5C.".encode(), [(".",)]),
    ],
)
def test_what_a_terminal_sends_becomes_keys(typed: bytes, keys: list[tuple[str, ...]]) -> None:
    ring = CharBackend()
    TerminalKeys(Keyboard(ring)).feed(typed)
    pressed = bytes(iter(ring.take, None))
    assert pressed == b"".join(stroke(*names) for names in keys)


@given(st.binary(max_size=300))
def test_whatever_is_typed_has_room(typed: bytes) -> None:
    keys = TerminalKeys(Keyboard(CharBackend()))
    before = keys.keyboard.room()
    keys.feed(typed)
    assert before - keys.keyboard.room() <= len(typed) * before // keys.room()


# The whole: hyperport in a terminal, with a guest that shows what its keyboard sends and leaves at an x.

GUEST = """
    c7 05 00 80 0b 00 48 1e 69 1e ; mov dword [0xb8000], "Hi" in yellow on blue
    e4 64                         ; in al, 0x64
    a8 01                         ; test al, 1
    74 fa                         ; jz -6
    e4 60                         ; in al, 0x60
    a2 04 80 0b 00                ; mov [0xb8004], al
    3c 2d                         ; cmp al, 0x2d
    75 ef                         ; jne -17
    b0 03                         ; mov al, 3
    e6 f4                         ; out 0xf4, al
"""


@pytest.fixture
def guest(tmp_path: Path) -> list[str]:
    image = tmp_path / "guest.bin"
    image.write_bytes(machine_code(GUEST.strip()))
    return ["--kernel", str(image), "--flat", "0x10000,protected", "--display", "term", "--timeout", "60"]


@pytest.fixture
def shell(guest: list[str]) -> Iterator[Any]:
    """A shell that runs hyperport, so that the terminal's mode can be seen afterwards."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-m", "hyperport", "run", *guest]
    made = pexpect.spawn(
        "/bin/sh", ["-c", 'read go; "$@"; echo ended $?; read end', "sh", *command], env=environment, timeout=40,
        dimensions=(30, 100), encoding="utf-8",
    )  # fmt: skip
    made.before_mode = termios.tcgetattr(made.child_fd)
    made.sendline("go")
    made.expect_exact("\x1b[?1049h")
    made.expect_exact("\x1b[0;93;44mHi")
    yield made
    made.close(force=True)


def ended(shell: Any, status: int) -> None:
    shell.expect_exact("\x1b[?1049l")
    shell.expect(f"ended {status}\r\n")
    assert termios.tcgetattr(shell.child_fd) == shell.before_mode


def test_screen_and_keys_in_a_terminal(shell: Any) -> None:
    shell.send("a")
    shell.expect_exact("Hi\x1b[0m" + CHARACTERS[0x9E])  # its release, on top of the press
    shell.send("x")
    ended(shell, 7)


def test_escape_key_and_monitor(shell: Any) -> None:
    shell.send("\x01h")
    shell.expect_exact("hold the guest and open the monitor")
    shell.send("\x01c")
    shell.expect_exact("\x1b[?1049l")
    shell.expect_exact("(hyperport) ")
    shell.sendline("screen")
    shell.expect(r"  Hi[^\x1b]*\r\n")
    shell.sendline("cont")
    shell.expect_exact("\x1b[?1049h")
    shell.expect_exact("Hi")
    shell.send("\x01x")
    ended(shell, 0)


def test_a_signal_gives_the_terminal_back(shell: Any) -> None:
    found = pexpect.run(f"ps --ppid {shell.pid} -o pid=", encoding="utf-8")
    os.kill(int(found), 15)
    ended(shell, 143)


@pytest.mark.parametrize(
    ("options", "words"),
    [([], "no terminal"), (["--serial", "stdio"], "wants the terminal too"), (["--display", "x11"], "none or term")],
)
def test_what_cannot_be_is_one_line(guest: list[str], options: list[str], words: str) -> None:
    done = run_command(*guest[:4], *(options if "--display" in options else [*guest[4:], *options]))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert words in done.stderr


def test_a_guest_that_draws_is_seen_in_the_terminal() -> None:
    """The built-in guest draws mode 13h; at 100 columns and 30 lines the picture has 96 by 60 pixels. A key ends it."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [
        "-m",
        "hyperport",
        "run",
        "draw",
        "--append",
        "mode13 stay",
        "--display",
        "term",
        "--quiet",
        "--timeout",
        "60",
    ]
    frames = ""
    made: Any = pexpect.spawn(
        sys.executable, command, env=environment, timeout=40, dimensions=(30, 100), encoding="utf-8"
    )
    try:
        made.expect_exact("\x1b[?1049h")
        end = "▀\x1b[0m\x1b[K"  # of a line
        while frames.count(end) < 29:
            frames += made.read_nonblocking(1 << 16, 40)
        terminal = Terminal(100, 30)
        terminal.write(frames[: frames.rindex(end) + len(end)])
        assert [line.count("▀") for line in terminal.text()] == [96] * 29 + [0], "the last line tells the keys"
        made.send("q")
        made.expect_exact("\x1b[?1049l")
        made.expect(pexpect.EOF)
        made.close()
        assert made.exitstatus == 1
    finally:
        made.close(force=True)
