# SPDX-License-Identifier: GPL-2.0-or-later
"""--save and --restore: when a file is written, and what goes on from it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pexpect

from ..conftest import ROOT, command, fnv1a, run_command

ANSWER_S = 60


def test_a_run_that_is_ended_from_outside_goes_on(tmp_path: Path) -> None:
    file, later = tmp_path / "a.state", tmp_path / "b.state"
    first = run_command("echo", "--engine", "unicorn", "--timeout", "1", "--save", str(file))
    assert (first.returncode, file.exists()) == (124, True)
    assert f"hyperport: saved: {file}, {file.stat().st_size} bytes" in first.stderr
    second = run_command("--restore", str(file), "--timeout", "1", "--save", str(later))
    assert second.returncode == 124, second.stderr
    assert second.stdout == ""  # it waits for input, as it did
    assert later.exists()


def test_a_guest_that_ends_by_itself_is_not_saved(tmp_path: Path) -> None:
    file = tmp_path / "c.state"
    done = run_command("outcome", "--append", "exit 1", "--save", str(file))
    assert done.returncode == 3
    assert "hyperport: not saved: the guest has ended by itself" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_makes_no_sense_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "none").write_bytes(b"x" * 100)
    for words, told in (
        (("--restore", str(tmp_path / "none")), "this is no saved machine"),
        (("demo", "--restore", str(tmp_path / "none")), "leave out the guest's name"),
        (("demo", "--save", str(tmp_path / "nowhere" / "x")), "saved machine: "),
    ):
        done = run_command(*words)
        assert done.returncode not in (0, 1), words
        assert told in done.stderr, words
        assert len(done.stderr.splitlines()) == 1, done.stderr


def terminal(*words: str) -> pexpect.spawn[str]:
    """The command on a terminal."""
    program, *arguments = command(*words)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return pexpect.spawn(program, arguments, cwd=str(ROOT), env=environment, encoding="utf-8", timeout=ANSWER_S)


def test_the_monitor_saves_a_guest_that_goes_on(tmp_path: Path) -> None:
    """Twice in one run; both go on by themselves, and count what was typed before and after."""
    files = [tmp_path / "one.state", tmp_path / "two.state"]
    first = terminal("echo", "--engine", "unicorn")
    first.expect_exact("echo: ready")
    for typed, file in zip(("abc", "de"), files, strict=True):
        first.send(typed)
        first.expect_exact(typed.upper())
        first.send("\x01c")
        first.expect_exact("(hyperport) ")
        first.sendline(f"save {tmp_path}/nowhere/file")
        first.expect_exact("not saved: No such file or directory")
        first.sendline(f"save {file}")
        first.expect(rf"saved: {file}, \d+ bytes")
        first.sendline("cont")
    first.send("f")
    first.expect_exact("F")
    first.send("\x04")
    first.expect_exact(f"echo: 6 bytes, fnv1a {fnv1a(b'abcdef'):08x}, 0 overruns")
    for before, file in zip((b"abc", b"abcde"), files, strict=True):
        later = terminal("--restore", str(file))
        later.send("x")
        later.expect_exact("X")  # the terminal is the guest's now
        later.send("\x04")
        later.expect_exact(f"echo: {len(before) + 1} bytes, fnv1a {fnv1a(before + b'x'):08x}, 0 overruns")
        later.expect(pexpect.EOF)
    assert sorted(tmp_path.iterdir()) == files


def test_a_clock_of_another_kind_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "a.state"
    assert run_command("echo", "--engine", "unicorn", "--timeout", "0.5", "--save", str(file)).returncode == 124
    done = run_command("--restore", str(file), "--timeout", "0.5", "--clock", "insns")
    assert (done.returncode, done.stderr.count("\n")) == (124, 1), done.stderr
