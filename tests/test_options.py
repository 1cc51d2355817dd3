# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperport.boot.options import parse_flat, parse_module
from hyperport.cli.machine_file import load_machine_file
from hyperport.errors import ConfigError, UsageError
from hyperport.host.specs import DiskSpec, SerialSpec, parse_disk, parse_serial
from hyperport.machine.config import MachineConfig
from hyperport.machine.plugins import DeviceSpec, parse_device
from hyperport.options import parse_size
from hyperport.ui.options import NO_ESCAPE, parse_escape_key


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("128", 128 << 20),
        ("128M", 128 << 20),
        ("128m", 128 << 20),
        ("8MiB", 8 << 20),
        ("8MB", 8 << 20),
        ("640K", 640 << 10),
        ("1G", 1 << 30),
        (" 2 G ", 2 << 30),
    ],
)
def test_size(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        *((parse_size, text) for text in ("", "M", "-1", "1.5G", "1T", "12Q", "0x10", "1 2")),
        *((parse_flat, text) for text in ("", "0x7c00", "0x7c00,", "0x7c00,long", "x,real", "-1,real")),
        *((parse_module, text) for text in ("", ",args")),
        *((parse_serial, text) for text in ("", "tty", "file", "file:", "unix", "unix:", "pty:x", "stdio:", "FILE:x")),
        *((parse_escape_key, text) for text in ("", "ab", "^", "0", "32", "0x20", "0x", "\N{SUPERSCRIPT TWO}", "?")),
        *(
            (parse_device, text)
            for text in (
                "",
                "a.py",
                "a.py:A",
                ":A,base=1",
                "a.py:1A,base=1",
                "a.py:A,base",
                "a.py:A,base=",
                "a.py:A,base=x",
                "a.py:A,base=-1",
                "a.py:A,base=0x10000",
                "a.py:A,base=1,irq=16",
                "a.py:A,base=1,irq=x",
                "a.py:A,base=1,base=2",
                "a.py:A,base=1,k k=2",
                "a.py:A,base=1,",
            )
        ),
    ],
)
def test_nonsense_is_one_line_that_says_what_to_write(parse: Callable[[str], object], text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert "\n" not in str(caught.value)


@given(st.sampled_from([parse_size, parse_flat, parse_module, parse_serial, parse_escape_key, parse_device]), st.text())
def test_any_text_is_taken_or_refused_as_usage(parse: Callable[[str], object], text: str) -> None:
    with suppress(UsageError):
        parse(text)


def test_flat() -> None:
    assert parse_flat("0x7c00,real") == (0x7C00, "real")
    assert parse_flat("1048576,protected") == (1 << 20, "protected")


def test_device() -> None:
    assert parse_device("dir/dev.py:Dev,base=0x300") == DeviceSpec(
        path=Path("dir/dev.py"), class_name="Dev", base=0x300
    )
    assert parse_device("a:b.py:D,irq=5,base=768,key=a=b,empty=") == DeviceSpec(
        path=Path("a:b.py"), class_name="D", base=0x300, irq=5, options={"key": "a=b", "empty": ""}
    )


def test_module_keeps_its_arguments() -> None:
    assert parse_module("mod.bin") == (Path("mod.bin"), "")
    assert parse_module("mod.bin,a b,c") == (Path("mod.bin"), "a b,c")


def test_serial() -> None:
    assert parse_serial("stdio") == SerialSpec("stdio")
    assert parse_serial("file:/tmp/a:b") == SerialSpec("file", Path("/tmp/a:b"))
    assert parse_serial("unix:s") == SerialSpec("unix", Path("s"))


@pytest.mark.parametrize(
    ("text", "key"), [("a", 1), ("^a", 1), ("B", 2), ("^Z", 26), ("0x1d", 29), ("20", 20), ("none", NO_ESCAPE)]
)
def test_escape_key(text: str, key: int) -> None:
    assert parse_escape_key(text) == key


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
    }
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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.img", DiskSpec(path=Path("a.img"))),
        ("a.img,ro", DiskSpec(path=Path("a.img"), read_only=True)),
        ("a.img,overlay=b", DiskSpec(path=Path("a.img"), overlay=Path("b"))),
        ("a.img,snapshot", DiskSpec(path=Path("a.img"), snapshot=True)),
    ],
)
def test_disks(text: str, expected: DiskSpec) -> None:
    assert parse_disk(text) == expected


@pytest.mark.parametrize("text", ["", ",ro", "a,rw", "a,", "a,overlay", "a,overlay=", "a,ro=1", "a,ro,snapshot"])
def test_disks_that_make_no_sense(text: str) -> None:
    with pytest.raises(UsageError, match="disk "):
        parse_disk(text)
