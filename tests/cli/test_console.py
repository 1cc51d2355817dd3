# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line on a terminal and on pipes, as a process of its own."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

from tests.host.watching import eventually

PROGRAM = str(Path(__file__).with_name("fake_machine.py"))
RUN = ["run", "-k", "/bzImage", "--append"]
ECHO = [*RUN, "echo"]
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


class Console:
    """hyperport with a guest on a terminal."""

    def __init__(self, *options: str, guest: str = "echo") -> None:
        # a shell keeps the terminal open, so that its mode can be seen after the program has gone
        self.shell = pexpect.spawn("/bin/sh", ["-c", "read go; \"$@\"; echo ended $?; read end", "sh",
                                               sys.executable, PROGRAM, *RUN, guest, *options],
                                   env=ENVIRONMENT, timeout=20, echo=True)  # fmt: skip
        self.before = self.mode()
        self.shell.sendline("go")
        self.shell.expect_exact(f"{guest} is ready")
        assert eventually(lambda: not self.mode()[3] & termios.ICANON)

    def mode(self) -> list[Any]:
        return termios.tcgetattr(self.shell.child_fd)

    def ended(self, status: int) -> None:
        self.shell.expect(f"ended {status}\r\n")
        assert self.mode() == self.before
        self.shell.sendline("end")
        self.shell.expect(pexpect.EOF)


@pytest.fixture
def console() -> Iterator[Console]:
    console = Console()
    yield console
    console.shell.close(force=True)


def pid_of_program(console: Console) -> int:
    found = subprocess.run(
        ["ps", "--ppid", str(console.shell.pid), "-o", "pid="], capture_output=True, text=True, check=True
    )
    return int(found.stdout)


def test_raw_keys_reach_the_guest(console: Console) -> None:
    console.shell.send("a\x03\x1a\x04\r\x11\x13")
    console.shell.expect_exact("<61><03><1a><04><0d><11><13>")
    console.shell.send("!")
    console.ended(11)


def test_escape_x_quits(console: Console) -> None:
    console.shell.send("\x01x")
    console.shell.expect_exact("left by the user")
    console.ended(0)


def test_escape_h_helps_and_literal_escape_reaches_the_guest(console: Console) -> None:
    console.shell.send("\x01h")
    console.shell.expect_exact("Ctrl-a x")
    console.shell.expect_exact("Ctrl-a Ctrl-a")
    console.shell.send("\x01\x01\x01a")
    console.shell.expect_exact("<01><01>")
    console.shell.send("!")
    console.ended(11)


def test_another_escape_key() -> None:
    console = Console("--echr", "^b")
    console.shell.send("\x01x")
    console.shell.expect_exact("<01><78>")
    console.shell.send("\x02x")
    console.ended(0)


def test_no_escape_key() -> None:
    console = Console("--echr", "none")
    console.shell.send("\x01x!")
    console.shell.expect_exact("<01><78>")
    console.ended(11)


def test_monitor_and_back(console: Console) -> None:
    console.shell.send("\x01c")
    console.shell.expect_exact("(hyperport) ")
    assert console.mode() == console.before
    console.shell.sendline("registers")
    console.shell.expect_exact("eax 0000cafe")
    console.shell.sendline("dev")
    console.shell.expect_exact("0300-0300  scratch")
    console.shell.sendline("reg now")
    console.shell.expect_exact("no such command")
    console.shell.sendline("cont")
    assert eventually(lambda: not console.mode()[3] & termios.ICANON)
    console.shell.send("b!")
    console.shell.expect_exact("<62>")
    console.ended(11)


def test_what_is_typed_behind_the_key_is_for_the_monitor(console: Console) -> None:
    console.shell.send("\x01cdevices\rcont\rk")
    console.shell.expect_exact("0300-0300  scratch")
    console.shell.expect_exact("<6b>")
    console.shell.send("\x01cquit\r")
    console.ended(0)


@pytest.mark.parametrize(
    "signum",
    [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM],
)
def test_terminal_is_restored_on_a_signal(console: Console, signum: signal.Signals) -> None:
    os.kill(pid_of_program(console), signum)
    console.shell.expect_exact(f"stopped by {signum.name} (status {128 + signum})")
    console.ended(128 + signum)


@pytest.mark.parametrize("signum", [signal.SIGABRT, signal.SIGSEGV, signal.SIGFPE])
def test_terminal_is_restored_when_the_process_dies(console: Console, signum: signal.Signals) -> None:
    """abort() of a library, or a fault in compiled code: no Python runs any more."""
    os.kill(pid_of_program(console), signum)
    console.ended(128 + signum)


def test_signal_in_the_monitor(console: Console) -> None:
    console.shell.send("\x01c")
    console.shell.expect_exact("(hyperport) ")
    os.kill(pid_of_program(console), signal.SIGTERM)
    console.ended(143)


def test_terminal_is_restored_on_a_timeout() -> None:
    Console("--timeout", "0.3").ended(124)


def test_terminal_is_restored_on_an_exception(console: Console) -> None:
    console.shell.send("?")
    console.shell.expect_exact("ZeroDivisionError")
    console.ended(70)


def test_second_signal_leaves_a_machine_that_does_not_stop() -> None:
    console = Console(guest="hang")
    program = pid_of_program(console)
    os.kill(program, signal.SIGTERM)
    with contextlib.suppress(ProcessLookupError):  # gone between the two looks
        while state_of(program) not in "Z?":
            os.kill(program, signal.SIGINT)
    console.ended(130)  # the watchdog would leave with the first one's status


def test_quit_leaves_a_machine_that_does_not_stop() -> None:
    console = Console(guest="hang")
    console.shell.send("\x01x")
    console.shell.expect_exact("left without its reports")
    console.ended(0)


def test_stopped_and_continued(console: Console) -> None:
    program = pid_of_program(console)
    os.kill(program, signal.SIGTSTP)
    assert eventually(lambda: state_of(program) == "T")
    assert console.mode() == console.before
    os.kill(program, signal.SIGCONT)
    assert eventually(lambda: not console.mode()[3] & termios.ICANON)
    console.shell.send("z!")
    console.shell.expect_exact("<7a>")
    console.ended(11)


def state_of(pid: int) -> str:
    """The process's state as ps(1) shows it, ? if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "?"


def piped(data: bytes, *options: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, PROGRAM, *ECHO, *options]
    return subprocess.run(command, input=data, capture_output=True, env=ENVIRONMENT, timeout=60, check=False)


def from_file(path: Path, *options: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, PROGRAM, *ECHO, *options]
    with path.open("rb") as stdin:
        return subprocess.run(command, stdin=stdin, capture_output=True, env=ENVIRONMENT, timeout=60, check=False)


def test_pipe_has_no_escape_key() -> None:
    done = piped(b"\x01x!")
    assert done.stdout == b"echo is ready\r\n<01><78>"
    assert done.returncode == 11


def test_end_of_input_does_not_end_the_guest() -> None:
    done = piped(b"q", "--timeout", "0.5")
    assert done.stdout == b"echo is ready\r\n<71>"
    assert done.returncode == 124


def test_no_input_at_all() -> None:
    assert from_file(Path(os.devnull), "--timeout", "0.2").returncode == 124


def test_long_input_arrives_whole() -> None:
    data = b"0123456789abcdef" * 10000
    done = piped(data + b"!")
    assert done.stdout == b"echo is ready\r\n" + b"".join(b"<%02x>" % byte for byte in data)


def test_input_from_a_file(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_bytes(b"ab!")
    done = from_file(script)
    assert (done.stdout, done.returncode) == (b"echo is ready\r\n<61><62>", 11)


def test_signal_without_a_terminal() -> None:
    running = subprocess.Popen(
        [sys.executable, PROGRAM, *ECHO],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=ENVIRONMENT,
    )
    assert running.stdin
    assert running.stdout
    running.stdout.readline()
    running.send_signal(signal.SIGTERM)
    assert running.wait(20) == 143
    running.stdin.close()
    running.stdout.close()


def test_reader_that_goes_away_ends_the_run() -> None:
    running = subprocess.Popen(
        [sys.executable, PROGRAM, *ECHO], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=ENVIRONMENT,
    )  # fmt: skip
    assert running.stdout
    running.stdout.readline()
    running.stdout.close()
    running.stdout = None
    _, errors = running.communicate(b"abc!", timeout=20)
    assert running.returncode == 74
    assert b"hyperport: stdout: Broken pipe: the guest's output is lost\n" in errors


def test_commands_are_seen_while_the_guest_takes_no_input() -> None:
    console = Console(guest="hang")
    with contextlib.suppress(OSError):
        os.set_blocking(console.shell.child_fd, False)
    typed, stream = 0, b"0123456789abcdef" * 256
    while typed < 3 * (64 << 10):
        assert eventually(lambda: bool(select.select([], [console.shell.child_fd], [], 0)[1]))
        typed += os.write(console.shell.child_fd, stream)
    os.set_blocking(console.shell.child_fd, True)
    console.shell.send("\x01h")
    console.shell.expect_exact("end the guest and leave")
    console.shell.send("\x01x")
    console.ended(0)
