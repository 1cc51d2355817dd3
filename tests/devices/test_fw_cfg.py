# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import struct
from pathlib import Path

import pytest

from hyperport.devices.fw_cfg import FwCfg
from hyperport.errors import ConfigError
from tests.devices.qtest import Qtest


def item(chip: FwCfg, selector: int, size: int) -> bytes:
    chip.write(0, 2, selector)
    return chip.read_block(1, 1, size)


def files(directory: bytes) -> dict[str, tuple[int, int]]:
    """Name -> size and selector, of a directory."""
    (count,) = struct.unpack_from(">I", directory)
    rows = (struct.unpack_from(">IHH56s", directory, 4 + 64 * at) for at in range(count))
    return {name.rstrip(b"\0").decode(): (size, selector) for size, selector, _, name in rows}


def test_signature_and_id() -> None:
    chip = FwCfg()
    assert (item(chip, 0, 6), item(chip, 1, 4)) == (b"QEMU\0\0", b"\1\0\0\0")
    chip.write(0, 2, 0)
    assert [chip.read(1) for _ in range(5)] == [*b"QEMU", 0]


def test_files_stand_in_the_directory() -> None:
    chip = FwCfg({0x8003: b"architecture", 3: b"plain"}, {"vgaroms/vgabios.bin": b"rom" * 5})
    chip.add("etc/e820", bytes(range(20)))
    listed = files(item(chip, 0x19, 4 + 2 * 64))
    assert listed == {"etc/e820": (20, 0x20), "vgaroms/vgabios.bin": (15, 0x21)}
    assert (item(chip, 0x20, 21), item(chip, 0x21, 3)) == (bytes(range(20)) + b"\0", b"rom")
    assert (item(chip, 0x8003, 12), item(chip, 3, 5)) == (b"architecture", b"plain")
    chip.add("etc/e820", b"new")
    assert item(chip, 0x20, 4) == b"new\0"


def test_the_selector_is_a_word() -> None:
    chip = FwCfg({}, {"a": b"file"})
    chip.write(0, 2, 0x20)
    chip.write(0, 1, 0)
    assert (chip.read(1), chip.read(0, 2)) == (ord("f"), 0)
    for nothing in (0x3FFF, 0x8020, 0xFFFF, 0x05):
        assert item(chip, nothing, 3) == bytes(3)


def test_names_and_numbers_that_do_not_fit() -> None:
    chip = FwCfg()
    for name in ("", "x" * 56):
        with pytest.raises(ConfigError, match="is not of 1 to 55 bytes"):
            chip.add(name, b"")
    with pytest.raises(ConfigError, match="no item 0x100"):
        FwCfg({0x100: b""})
    for number in range(224):
        chip.add(f"file{number}", b"")
    with pytest.raises(ConfigError, match="more than 224 files"):
        chip.add("one more", b"")


def test_a_guest_reads_of_qemu_and_of_us_alike(tmp_path: Path) -> None:
    """The same file in both: found by the directory, its bytes, and zeros behind."""
    source = tmp_path / "content"
    source.write_bytes(bytes(range(100)))
    chip = FwCfg({}, {"opt/test": source.read_bytes()})
    with Qtest("-fw_cfg", f"name=opt/test,file={source}") as qemu:

        def theirs(selector: int, size: int) -> bytes:
            qemu.ask(f"outw 0x510 {selector:#x}")
            return bytes(qemu.inb(0x511) for _ in range(size))

        assert theirs(0, 6) == item(chip, 0, 6)
        assert theirs(1, 1)[0] & 1 == item(chip, 1, 1)[0]
        count = int.from_bytes(theirs(0x19, 4), "big")
        size, selector = files(theirs(0x19, 4 + 64 * count))["opt/test"]
        mine = files(item(chip, 0x19, 4 + 64))["opt/test"]
        assert mine[0] == size
        assert theirs(selector, size + 3) == item(chip, mine[1], size + 3)
