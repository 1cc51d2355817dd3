# SPDX-License-Identifier: GPL-2.0-or-later
"""--save and --restore: when a file is written, and what goes on from it."""

from __future__ import annotations

from pathlib import Path

from ..conftest import run_command


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
