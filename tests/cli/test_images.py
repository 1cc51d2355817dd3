# SPDX-License-Identifier: GPL-2.0-or-later
"""What `hyperport run` makes of an image, of drives without a kernel, and of a host without firmware."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hyperport.errors import FetchError
from hyperport.guests import firmware, registry

from .conftest import Cli
from .fake_machine import Machine

END = ("--append", "exit=0")


@pytest.fixture
def floppy(tmp_path: Path) -> Path:
    image = tmp_path / "dos.img"
    image.write_bytes((bytes(510) + b"\x55\xaa").ljust(1440 << 10, b"\0"))
    return image


@pytest.fixture(autouse=True)
def seabios(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firmware, "find", lambda: Path("/bios.bin"))


def config_of(cli: Cli, *words: str | Path) -> Any:
    assert cli("run", *map(str, words), *END)[0] == 1
    return Machine.built[-1].config


@pytest.mark.parametrize("words", [(), ("--image",)])
def test_an_image_is_told_and_started_by_seabios(cli: Cli, floppy: Path, words: tuple[str, ...]) -> None:
    status, _, err = cli("run", *words, str(floppy), *END)
    config = Machine.built[-1].config
    assert (status, config.image, config.bios) == (1, floppy, "seabios")
    assert f"hyperport: {floppy}: a floppy of 1440 KB; firmware starts it from drive A\n" in err


def test_what_stands_behind_the_name_goes_to_the_drive(cli: Cli, floppy: Path) -> None:
    assert config_of(cli, f"{floppy},ro").image == Path(f"{floppy},ro")


def test_a_kernel_is_started_directly(cli: Cli, tmp_path: Path) -> None:
    kernel = tmp_path / "kernel"
    kernel.write_bytes(bytes.fromhex("02b0ad1b 00000000 fe4f52e4") + bytes(100))
    status, _, err = cli("run", str(kernel), *END)
    assert (status, Machine.built[-1].config.bios) == (1, None)
    assert f"{kernel}: a Multiboot kernel; started directly\n" in err


def test_drives_without_a_kernel_are_started_by_seabios(cli: Cli, floppy: Path) -> None:
    assert config_of(cli, "--floppy", floppy).bios == "seabios"
    assert config_of(cli, "--disk", floppy, "--bios", "none").bios == "none"
    assert config_of(cli, "--disk", floppy, "-k", "/vmlinuz").bios is None


@pytest.mark.parametrize(
    ("words", "on"),
    [
        ((), True),
        (("--serial", "null"), False),
        (("--screen-on-serial=off",), False),
        (("--serial", "null", "--screen-on-serial"), True),
    ],
)
def test_the_screen_is_on_the_console_where_that_is_stdio(
    cli: Cli, floppy: Path, words: tuple[str, ...], on: bool
) -> None:
    assert config_of(cli, floppy, *words).screen_on_serial is on


def test_what_is_no_image_is_refused_by_its_name(cli: Cli, tmp_path: Path) -> None:
    packed = tmp_path / "disk.gz"
    packed.write_bytes(b"\x1f\x8b" + bytes(1000))
    status, out, err = cli("run", str(packed), *END)
    assert (status, out) == (66, "")
    assert err == f"hyperport: image {packed}: a gzip file; unpack it and give what is in it\n"
    status, _, err = cli("run", str(tmp_path / "nowhere.img"), *END)
    assert (status, err.count("\n")) == (66, 1)
    assert "No such file" in err


def test_firmware_is_fetched_where_the_host_has_none(cli: Cli, floppy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[str] = []

    def find() -> Path:
        if not fetched:
            raise FetchError("SeaBIOS is not on this host")
        return Path("/bios.bin")

    def fetch(name: str, tell: Callable[[str], object]) -> None:
        fetched.append(name)
        tell("firmware: ready")

    monkeypatch.setattr(firmware, "find", find)
    monkeypatch.setattr(registry, "fetch", fetch)
    status, _, err = cli("run", str(floppy), *END)
    assert (status, fetched) == (1, ["firmware"])
    assert "SeaBIOS is not on this host; fetching it once, from Debian's package seabios (LGPLv3)\n" in err
    assert "hyperport: firmware: ready\n" in err
