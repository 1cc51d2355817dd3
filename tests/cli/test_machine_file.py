# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest

from hyperport.cli.machine_file import load_machine_file
from hyperport.errors import ConfigError, UsageError
from hyperport.host.specs import SerialSpec
from hyperport.machine.config import MachineConfig
from hyperport.machine.plugins import DeviceSpec
from hyperport.time.options import ClockSpec


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_machine_file(tmp_path: Path) -> None:
    file = write(
        tmp_path / "machine.toml",
        """
        kernel = "bzImage"
        initrd = "/abs/initrd"
        append = "file:is no file here"
        modules = ["mod,args"]
        flat = "0x7c00,real"
        memory = 64
        engine = "unicorn"
        devices = ["dev.py:Dev,base=0x300,irq=5"]
        serial = "unix:console"
        debugcon = "null"
        echr = "b"
        timeout = 2
        clock = "insns=8"
        """,
    )
    loaded = load_machine_file(file)
    assert loaded == {
        "kernel": tmp_path / "bzImage",
        "initrd": Path("/abs/initrd"),
        "append": "file:is no file here",
        "modules": ((tmp_path / "mod", "args"),),
        "flat": (0x7C00, "real"),
        "memory": 64 << 20,
        "engine": "unicorn",
        "devices": (DeviceSpec(path=tmp_path / "dev.py", class_name="Dev", base=0x300, irq=5),),
        "serial": (SerialSpec("unix", tmp_path / "console"),),
        "debugcon": SerialSpec("null"),
        "echr": 2,
        "timeout": 2.0,
        "clock": ClockSpec(8),
    }
    assert isinstance(loaded["clock"], ClockSpec)
    for key in ("serial", "debugcon", "echr", "timeout"):
        del loaded[key]
    assert MachineConfig(**loaded).memory == 64 << 20


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kernel = ", "is no TOML"),
        ("colour = 1", "unknown key colour"),
        ("kernel = 1", "kernel: must be a string"),
        ('memory = "12Q"', "memory: size '12Q'"),
        ("memory = true", "memory: must be a string"),
        ('devices = "a.py:A,base=1"', "devices: must be a list"),
        ("devices = [1]", "devices: must be a string"),
        ('timeout = "1"', "timeout: must be a number"),
    ],
)
def test_bad_machine_file_is_one_line_with_file_and_key(tmp_path: Path, text: str, words: str) -> None:
    file = write(tmp_path / "machine.toml", text)
    with pytest.raises(ConfigError) as caught:
        load_machine_file(file)
    assert not isinstance(caught.value, UsageError)
    assert str(caught.value).startswith(f"machine file {file}")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_machine_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_machine_file(tmp_path / "none")


def test_machine_file_that_is_no_text(tmp_path: Path) -> None:
    file = tmp_path / "binary"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="is no TOML"):
        load_machine_file(file)
