# SPDX-License-Identifier: GPL-2.0-or-later
"""A folder as a CD-ROM, read back by pycdlib and by xorriso, which has another reader."""

from __future__ import annotations

import io
import os
import random
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Final

import pytest
from pycdlib import PyCdlib

from hyperport import ConfigError, Machine
from hyperport.errors import StateError
from hyperport.host import iso_folder
from hyperport.host.disk_image import open_cdrom

from ..conftest import MIB

BIG: Final = random.Random(1).randbytes(300_001)
DATE: Final = 981_173_106  # 2001-02-03 04:05:06 UTC


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    top = tmp_path / "folder"
    deep = top / "deep" / "a" / "b" / "c" / "d" / "e" / "f" / "g" / "h"
    deep.mkdir(parents=True)
    (top / "Ein Ordner").mkdir()
    files = {
        top / "big.bin": BIG,
        top / "empty": b"",
        top / "run.sh": b"#!/bin/sh\n",
        top / "more.than.one.dot": b"dots",
        top / "MORE.THAN.ONE.DOT": b"DOTS",
        top / ("x" * 250): b"long",
        top / "Ein Ordner" / "Grüße.text": "äöü".encode(),
        deep / "leaf": b"leaf",
    }
    for path, data in files.items():
        path.write_bytes(data)
    (top / "run.sh").chmod(0o755)
    (top / "link").symlink_to("empty")
    (top / "gone").symlink_to("nowhere")
    for path in (top, *top.rglob("*")):
        if path.exists():
            os.utime(path, (DATE, DATE))
    return top


def image_of(folder: Path) -> bytes:
    out = io.BytesIO()
    iso_folder.write_folder(folder, out)
    return out.getvalue()


def contents(image: bytes, kind: str) -> dict[str, bytes]:
    """Path -> contents, by one kind of names."""
    iso, found = PyCdlib(), {}
    iso.open_fp(io.BytesIO(image))
    for above, _, names in iso.walk(**{kind: "/"}):
        for name in names:
            out, path = io.BytesIO(), f"{above.rstrip('/')}/{name}"
            if iso.get_record(**{kind: path}).is_dir():
                continue  # the place that a folder more than eight deep was moved from
            iso.get_file_from_iso_fp(out, **{kind: path})
            found[path] = out.getvalue()
    iso.close()
    return found


def test_all_files_are_there_by_each_kind_of_names(folder: Path) -> None:
    image = image_of(folder)
    wanted = {f"/{path.relative_to(folder)}": path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert contents(image, "rr_path") == wanted
    joliet = contents(image, "joliet_path")
    assert sorted(joliet.values()) == sorted(wanted.values())
    assert joliet["/Ein Ordner/Grüße.text"] == "äöü".encode()
    assert all(len(part) <= 64 for path in joliet for part in path.split("/"))
    dos = contents(image, "iso_path")
    assert dos["/BIG.BIN;1"] == BIG
    assert {dos["/MORE_THA.DOT;1"], dos["/MORE_TH1.DOT;1"]} == {b"dots", b"DOTS"}
    for path in dos:
        for part in path.removesuffix(";1").split("/")[1:]:
            stem, _, extension = part.partition(".")
            assert len(stem) <= 8
            assert len(extension) <= 3


def test_the_same_folder_is_the_same_image(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = image_of(folder)
    monkeypatch.setattr("time.time", lambda: 4e9)
    assert image_of(folder) == first
    assert first.count(b"2001020304050600\0") == 6, "three dates of two volume descriptors"
    (folder / "empty").write_bytes(b"x")
    os.utime(folder / "empty", (DATE, DATE))
    assert image_of(folder) != first


def test_a_checker_reads_it(folder: Path, tmp_path: Path) -> None:
    if shutil.which("xorriso") is None:
        pytest.skip("xorriso is not installed")
    (tmp_path / "cd.iso").write_bytes(image_of(folder))
    words = ("-indev", tmp_path / "cd.iso", "-osirrox", "on", "-extract", "/", tmp_path / "out")
    done = subprocess.run(["xorriso", *words], capture_output=True, text=True, check=True)
    assert "SORRY" not in done.stderr
    assert "FAILURE" not in done.stderr
    for path in folder.rglob("*"):
        there = tmp_path / "out" / path.relative_to(folder)
        if path.is_file():
            assert there.read_bytes() == path.read_bytes()
            assert there.stat().st_mtime == DATE
    assert (tmp_path / "out" / "run.sh").stat().st_mode & 0o777 == 0o555
    assert (tmp_path / "out" / "big.bin").stat().st_mode & 0o777 == 0o444
    for path in (tmp_path / "out", *(tmp_path / "out").rglob("*")):
        path.chmod(0o755)


def test_a_disc_of_a_folder_is_told_by_its_content(folder: Path) -> None:
    first, second = open_cdrom(folder), open_cdrom(folder)
    assert first.stamps() == second.stamps()
    (folder / "run.sh").write_bytes(b"#!/bin/no\n")
    third = open_cdrom(folder)
    assert third.sectors == first.sectors
    assert third.stamps() != first.stamps()
    assert not first.writable
    for disc in (first, second, third):
        disc.close()


def test_a_saved_machine_goes_on_with_its_folder(folder: Path, tmp_path: Path) -> None:
    with Machine(memory=MIB, cdroms=(folder,), engine="unicorn") as machine:
        assert machine.drives.change_disc("hdc", folder / "Ein Ordner")
        assert machine.drives.change_disc("hdc", folder)
        machine.save(tmp_path / "saved")
    Machine.restore(tmp_path / "saved").close()
    (folder / "run.sh").write_bytes(b"#!/bin/no\n")
    with pytest.raises(StateError, match=r"hdc: .* has changed since the machine was saved"):
        Machine.restore(tmp_path / "saved")


def test_what_cannot_be_a_disc_is_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "deep" / "up").symlink_to("..")
    with pytest.raises(ConfigError, match="leads back to a folder that it is in"):
        image_of(folder)
    (folder / "deep" / "up").unlink()
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(folder)  # the path of a socket is short
        server.bind("socket")
    assert b"socket" not in image_of(folder)
    monkeypatch.setattr(iso_folder, "LARGEST", len(BIG) - 1)
    with pytest.raises(ConfigError, match=f"^cdrom {folder}: its files are more than"):
        image_of(folder)
    monkeypatch.undo()
    monkeypatch.setattr(iso_folder, "MOST_FILES", 3)
    with pytest.raises(ConfigError, match="more than 3 files"):
        image_of(folder)
    monkeypatch.undo()
    (Path(os.fsdecode(os.fsencode(folder) + b"/\xff"))).write_bytes(b"")
    with pytest.raises(ConfigError, match="not UTF-8; rename it"):
        image_of(folder)
    with pytest.raises(ConfigError, match="No such file"):
        image_of(folder / "nothing")


def test_a_folder_that_cannot_be_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ConfigError, match="Permission denied"):
        image_of(folder)


@pytest.mark.parametrize("seconds", [-1e11, -1.5, 0, 2**31, 1e12])
def test_dates_beyond_what_a_disc_holds(tmp_path: Path, seconds: float) -> None:
    (tmp_path / "file").write_bytes(b"data")
    os.utime(tmp_path / "file", (seconds, seconds))
    assert contents(image_of(tmp_path), "rr_path") == {"/file": b"data"}
