# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that are read without waiting, and written whole or not at all."""

from __future__ import annotations

import os
import socket
import stat
import threading
from pathlib import Path

import pytest

from hyperport.errors import ConfigError
from hyperport.host.files import UnfitFile, check_destination, open_to_read, whole_file, write_whole

LONGEST = 255  # bytes of a name, NAME_MAX


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.write_bytes(b"old")
    with whole_file(old, durable=True) as file:
        file.write(b"new")
        assert old.read_bytes() == b"old"
    assert (old.read_bytes(), names(tmp_path)) == (b"new", ["old"])


def test_a_file_that_was_given_up_stays_as_it_was(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.write_bytes(b"old")

    def give_up() -> None:
        with whole_file(old) as file:
            file.write(b"half")
            raise KeyError

    with pytest.raises(KeyError):
        give_up()
    assert (old.read_bytes(), names(tmp_path)) == (b"old", ["old"])


def test_names_as_long_as_they_can_be(tmp_path: Path) -> None:
    write_whole(tmp_path / ("x" * LONGEST), b"1")
    assert names(tmp_path) == ["x" * LONGEST]
    check_destination(tmp_path / ("x" * LONGEST))
    with pytest.raises(OSError, match="too long"):
        write_whole(tmp_path / ("x" * (LONGEST + 1)), b"1")
    with pytest.raises(ConfigError, match="too long"):
        check_destination(tmp_path / ("x" * (LONGEST + 1)))


def test_what_a_link_points_to_is_written_and_the_link_stays(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    link = tmp_path / "link"
    link.symlink_to("folder/file")
    for content in (b"1", b"2"):
        write_whole(link, content)
        assert link.is_symlink()
        assert (tmp_path / "folder" / "file").read_bytes() == content
    assert names(tmp_path / "folder") == ["file"]


def test_a_pipe_stays_one(tmp_path: Path) -> None:
    pipe, got = tmp_path / "pipe", list[bytes]()
    os.mkfifo(pipe)
    check_destination(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    with whole_file(pipe, durable=True) as file:
        file.write(b"through")
    reader.join(10)
    assert (got, pipe.is_fifo(), names(tmp_path)) == ([b"through"], True, ["pipe"])


def test_a_device_stays_one() -> None:
    write_whole("/dev/null", b"x")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_reading_does_not_wait_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as line:
        line.bind(str(tmp_path / "socket"))
        for path, told in ((tmp_path / "pipe", "a pipe"), (Path("/dev/zero"), "a character device")):
            with pytest.raises(UnfitFile, match=told):
                open_to_read(path)
        with pytest.raises(OSError, match="No such device"):
            open_to_read(tmp_path / "socket")


@pytest.mark.parametrize("path", ["", "nowhere/file", "a\0b"])
def test_a_destination_that_is_none(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError):
        check_destination(path)
    with pytest.raises(OSError, match=r"directory|not a path"):
        write_whole(path, b"x")
    assert names(tmp_path) == []
