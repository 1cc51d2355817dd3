# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperport import Machine
from hyperport.boot.options import parse_flat, parse_module
from hyperport.cli.options import VERBS
from hyperport.errors import ConfigError, UsageError
from hyperport.host.specs import DiskSpec, NetSpec, SerialSpec, parse_disk, parse_serial
from hyperport.machine.config import MachineConfig
from hyperport.machine.plugins import DeviceSpec, parse_device
from hyperport.options import Option, fits, parse_size, type_hints
from hyperport.time.options import ClockSpec
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


@given(st.sampled_from(VERBS["run"].rows()), st.text())
def test_any_text_is_taken_or_refused_as_usage(row: Option, text: str) -> None:
    if not row.is_switch:
        with suppress(UsageError):
            row.from_words([text] if row.many else text)


@given(
    st.sampled_from(VERBS["run"].rows()), st.none() | st.booleans() | st.integers() | st.floats() | st.lists(st.text())
)
def test_any_value_of_a_machine_file_is_taken_or_refused_as_usage(row: Option, value: object) -> None:
    with suppress(UsageError):
        row.from_file(value)


@pytest.mark.parametrize(
    ("fields", "value"),
    [
        ({"memory": "64M"}, 64 << 20),
        ({"memory": 64}, 64),
        ({"flat": "0x7c00,real"}, (0x7C00, "real")),
        ({"flat": [1, "real"]}, (1, "real")),
        ({"abi": "vmi,kvm"}, ("vmi", "kvm")),
        ({"abi": ["kvm"]}, ("kvm",)),
        ({"kvm_irqchip": "on"}, True),
        ({"disks": "a.img,ro"}, (DiskSpec(path=Path("a.img"), read_only=True),)),
        ({"disks": Path("a,ro")}, (DiskSpec(path=Path("a,ro")),)),
        ({"disks": [DiskSpec(path="a"), "b"]}, (DiskSpec(path=Path("a")), DiskSpec(path=Path("b")))),
        ({"cdroms": ["a", Path("b")]}, (Path("a"), Path("b"))),
        ({"modules": [("a", "b c"), Path("d"), "e,f g"]}, ((Path("a"), "b c"), (Path("d"), ""), (Path("e"), "f g"))),
        ({"devices": "d.py:D,base=1"}, (DeviceSpec(path=Path("d.py"), class_name="D", base=1),)),
        ({"net": "none"}, (NetSpec(),)),
        ({"append": ""}, ""),
        ({"kernel": None}, None),
    ],
)
def test_values_of_python(fields: dict[str, object], value: object) -> None:
    (word,) = fields
    assert getattr(MachineConfig(**fields), word) == value
    assert getattr(replace(MachineConfig(**fields), memory=1), word if word != "memory" else "append") is not False


def test_a_text_that_makes_no_sense_is_refused_in_python_too() -> None:
    with pytest.raises(UsageError, match="size '12Q'"):
        MachineConfig(memory="12Q")


def test_a_setting_that_there_is_not_is_named() -> None:
    with pytest.raises(ConfigError, match="a machine has no setting 'colour'; it has kernel"):
        Machine(colour="red")


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


# Values from Python, and of saved machines.


@pytest.mark.parametrize("verb", VERBS)
def test_each_default_is_what_the_parse_function_returns(verb: str) -> None:
    for row in VERBS[verb].rows():
        defaults: Any = row.default if row.many else (row.default,)
        for value in defaults:
            hint = row.kind.text if isinstance(row.kind.text, type) else type_hints(row.kind.text)["return"]
            assert value is None or fits(value, hint), (row.word, value)


@pytest.mark.parametrize(
    ("value", "hint", "good"),
    [
        (1, int, True),
        (True, int, False),
        (1, bool, False),
        (1, float, True),
        (True, float, False),
        (None, int | None, True),
        ("x", int | None, False),
        (Path("x"), str | Path, True),
        ((), tuple[str, ...], True),
        (("a", 1), tuple[str, ...], False),
        (("a", 1), tuple[str, int], True),
        (("a",), tuple[str, int], False),
        (["a"], tuple[str, ...], False),
        ({"a": "b"}, dict[str, str], True),
        ({"a": 1}, dict[str, str], False),
    ],
)
def test_what_fits_an_annotation(value: object, hint: object, good: bool) -> None:
    assert fits(value, hint) is good


@pytest.mark.parametrize(
    ("word", "value"),
    [
        *(("memory", value) for value in (1.5, True, b"1M", [1])),
        *(("testdev", value) for value in (1, 1 << 40, [True])),
        *(("disks", value) for value in (5, [5], {"path": "x"}, [None])),
        *(("kernel", value) for value in (5, b"x")),
        *(("abi", value) for value in (5, [5])),
        *(("flat", value) for value in (5, (1,), ("real", 1))),
        *(("modules", value) for value in (5, [()], [(5, "x")])),
        *(("clock", value) for value in (5, ClockSpec(0), ClockSpec(True), ClockSpec("x"))),  # type: ignore[arg-type]
        *((word, 5) for word in ("net", "devices", "passthrough", "floppies", "engine", "io", "boot", "bios")),
    ],
)
def test_a_value_of_another_type_is_told_with_its_option(word: str, value: object) -> None:
    with pytest.raises(UsageError, match=f"^{word} cannot be "):
        MachineConfig(**{word: value})


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: DiskSpec(path=5), "DiskSpec: path cannot be 5"),  # type: ignore[arg-type]
        (lambda: DiskSpec(path="x", snapshot=1), "DiskSpec: snapshot cannot be 1"),  # type: ignore[arg-type]
        (lambda: NetSpec(mac="02:00"), "NetSpec: mac cannot be '02:00'"),  # type: ignore[arg-type]
        (lambda: NetSpec(target=5), "NetSpec: target cannot be 5"),  # type: ignore[arg-type]
        (lambda: DeviceSpec(path="x", class_name=5), "DeviceSpec: class_name cannot be 5"),  # type: ignore[arg-type]
        (lambda: SerialSpec("file", 5), "SerialSpec: path cannot be 5"),  # type: ignore[arg-type]
    ],
)
def test_a_field_of_another_type_is_told(make: Callable[[], object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        make()
