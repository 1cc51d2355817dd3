# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hyperport.boot.flat import Mode, load_flat
from hyperport.boot.loader import detect
from hyperport.cpu.state import CpuState
from hyperport.errors import ImageError
from hyperport.memory.ram import GuestMemory

from .images import bzimage, elf, multiboot_header, unless_refused

MIB = 1 << 20
RAM = 2 * MIB


def load(folder: Path, data: bytes, address: int, mode: str) -> tuple[GuestMemory, CpuState]:
    image = folder / "image"
    image.write_bytes(data)
    memory = GuestMemory(RAM)
    return memory, load_flat(memory, image, address=address, mode=cast(Mode, mode))


@pytest.mark.parametrize(
    ("address", "cs", "ip", "sp"),
    [(0x7C00, 0, 0x7C00, 0x7C00), (0xFFFF, 0, 0xFFFF, 0xFFFF), (0x10000, 0x1000, 0, 0), (0x8001F, 0x8001, 0xF, 0)],
)
def test_real_mode_entry(tmp_path: Path, address: int, cs: int, ip: int, sp: int) -> None:
    memory, state = load(tmp_path, b"\xf4\xeb", address, "real")
    assert memory.read(address, 2) == b"\xf4\xeb"
    assert (state.cs.selector, state.cs.base, state.eip, state.esp) == (cs, cs << 4, ip, sp)
    assert {getattr(state, name).selector for name in ("ds", "es", "ss")} == {cs}
    assert not state.cr0 & 1


def test_protected_mode_entry(tmp_path: Path) -> None:
    memory, state = load(tmp_path, b"\xf4", MIB, "protected")
    assert (state.eip, state.esp, state.cr0 & 1, state.cs.selector) == (MIB, RAM, 1, 0x10)
    assert memory.read(state.gdtr.base + 0x18, 8) == bytes.fromhex("ffff00000093cf00")


def test_gdt_keeps_clear_of_the_image(tmp_path: Path) -> None:
    memory, state = load(tmp_path, b"\xf4" * 0x8000, 0x500, "protected")
    assert memory.read(0x500, 0x8000) == b"\xf4" * 0x8000
    assert state.gdtr.base >= 0x8500


@pytest.mark.parametrize(
    ("address", "mode", "problem"),
    [
        (MIB, "real", "real mode reaches no address"),
        (0x9FBFF, "real", "not RAM"),
        (0, "real", "taken by the BIOS data area"),
        (RAM - 1, "protected", "at least 3M"),
        (1 << 32, "protected", "outside 4 GiB"),
        (-1, "protected", "outside 4 GiB"),
        (0x7C00, "long", "mode 'long' is not known"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(tmp_path: Path, address: int, mode: str, problem: str) -> None:
    with pytest.raises(ImageError, match=problem) as caught:
        load(tmp_path, b"xx", address, mode)
    assert f"image {tmp_path / 'image'}: " in str(caught.value)
    assert "\n" not in str(caught.value)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.binary(min_size=1, max_size=64),
    st.one_of(st.integers(), st.integers(0, RAM)),
    st.sampled_from(["real", "protected"]),
)
def test_entry_is_the_images_first_byte_or_an_image_error(tmp_path: Path, data: bytes, address: int, mode: str) -> None:
    loaded = unless_refused(lambda: load(tmp_path, data, address, mode))
    if loaded is not None:
        memory, state = loaded
        assert state.cs.base + state.eip == address
        assert memory.read(address, len(data)) == data


def test_detect() -> None:
    assert detect(bzimage()) == "linux"
    assert detect(elf([], 0)) == "multiboot"
    assert detect(bytes(4) + multiboot_header()) == "multiboot"
    assert detect(b"\x7fELF, but no Multiboot header") == "flat"
    assert detect(bytes(8192) + multiboot_header()) == "flat"
    assert detect(b"") == "flat"


@given(st.binary(max_size=2048))
def test_detect_takes_any_bytes(image: bytes) -> None:
    assert detect(image) in ("linux", "multiboot", "flat")
