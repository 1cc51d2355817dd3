# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hyperport.abi.numbers import LGUEST_SUBARCH_AT
from hyperport.boot.bios_state import Equipment, write_memory
from hyperport.boot.e820 import memory_map
from hyperport.boot.linux import FIELDS, HARDWARE_SUBARCH, load_linux
from hyperport.cpu.state import CpuState
from hyperport.errors import ImageError
from hyperport.machine.machine import Machine
from hyperport.memory.ram import GuestMemory
from hyperport.outcome import GuestExit

from ..conftest import LIMIT_S, machine_code
from .images import CODE, bzimage, unless_refused

MIB = 1 << 20
RAM = 8 * MIB


def load(
    folder: Path, image: bytes, *, initrd: bytes | None = None, append: str = "", ram: int = RAM, subarch: int = 0
) -> Loaded:
    kernel = folder / "bzImage"
    kernel.write_bytes(image)
    path = None
    if initrd is not None:
        path = folder / "initrd"
        path.write_bytes(initrd)
    memory = GuestMemory(ram)
    return Loaded(memory, load_linux(memory, kernel, initrd=path, append=append, subarch=subarch))


def zimage(code: bytes = CODE, version: int = 0x200, **changes: int) -> bytes:
    return bzimage(code, version=version, loadflags=0, code32_start=0x1000, relocatable_kernel=0, **changes)


class Loaded:
    def __init__(self, memory: GuestMemory, state: CpuState) -> None:
        self.memory = memory
        self.state = state

    def param(self, offset: int, form: str) -> int:
        (value,) = struct.unpack("<" + form, self.memory.read(self.state.esi + offset, struct.calcsize(form)))
        assert isinstance(value, int)
        return value

    def command_line(self) -> bytes:
        return self.memory.read(self.param(0x228, "I"), 4096).split(b"\0")[0]


def test_entry_state_is_what_the_protocol_asks_for(tmp_path: Path) -> None:
    state = load(tmp_path, bzimage()).state
    assert state.cr0 & 1
    assert not state.cr0 >> 31
    assert not state.eflags & 1 << 9
    assert (state.cs.selector, state.cs.base, state.cs.limit) == (0x10, 0, 0xFFFFFFFF)
    assert {getattr(state, name).selector for name in ("ds", "es", "ss")} == {0x18}
    assert (state.ebp, state.edi, state.ebx) == (0, 0, 0)


def test_gdt_in_memory_is_what_gdtr_names(tmp_path: Path) -> None:
    loaded = load(tmp_path, bzimage())
    gdtr = loaded.state.gdtr
    assert loaded.memory.read(gdtr.base + 0x10, 8) == bytes.fromhex("ffff0000009bcf00")
    assert gdtr.limit == 0x1F


def test_relocatable_kernel_goes_to_its_preferred_address(tmp_path: Path) -> None:
    loaded = load(tmp_path, bzimage())
    assert loaded.state.eip == 0x200000
    assert loaded.memory.read(0x200000, len(CODE)) == CODE
    assert loaded.param(0x214, "I") == 0x200000


def test_preferred_address_is_aligned_up(tmp_path: Path) -> None:
    assert load(tmp_path, bzimage(pref_address=0x200001, kernel_alignment=0x100000)).state.eip == 0x300000


def test_fixed_kernel_goes_to_code32_start(tmp_path: Path) -> None:
    image = bzimage(relocatable_kernel=0, code32_start=0x180000, pref_address=0x400000)
    assert load(tmp_path, image).state.eip == 0x180000


@pytest.mark.parametrize("version", [0x204, 0x205, 0x206, 0x209])
def test_old_protocols_have_no_preferred_address(tmp_path: Path, version: int) -> None:
    image = bzimage(version=version, pref_address=0x400000, init_size=1 << 31, kernel_alignment=0x100000)
    assert load(tmp_path, image).state.eip == 0x100000


def test_four_sectors_are_meant_by_none(tmp_path: Path) -> None:
    image = bytearray(bzimage(setup_sects=4))
    image[0x1F1] = 0
    assert load(tmp_path, bytes(image)).memory.read(0x200000, len(CODE)) == CODE


def test_bytes_after_syssize_are_not_loaded(tmp_path: Path) -> None:
    loaded = load(tmp_path, bzimage() + b"signature")
    assert loaded.memory.read(0x200000 + len(CODE), 9) == bytes(9)


def test_a_last_paragraph_that_is_not_whole_is_accepted(tmp_path: Path) -> None:
    assert load(tmp_path, bzimage()[:-15]).memory.read(0x200000, len(CODE)) == CODE[:-15] + bytes(15)


def test_header_reaches_boot_params_and_loader_fields_are_set(tmp_path: Path) -> None:
    image = bytearray(bzimage())
    image[0x250:0x258] = b"\xff" * 8
    loaded = load(tmp_path, bytes(image))
    assert loaded.memory.read(loaded.state.esi + 0x202, 4) == b"HdrS"
    assert loaded.param(0x1FE, "H") == 0xAA55
    assert loaded.param(0x210, "B") == 0xFF
    assert loaded.param(0x211, "B") == 0x81
    assert loaded.param(0x224, "H") == 0xFE00
    assert loaded.param(0x250, "Q") == 0
    assert loaded.param(0x260, "I") == 0x100000


@pytest.mark.parametrize("subarch", [0, 1])
def test_hardware_subarch_is_the_loaders(tmp_path: Path, subarch: int) -> None:
    image = bytearray(bzimage())
    image[0x23C:0x240] = b"\x03\0\0\0"
    assert HARDWARE_SUBARCH[0] == LGUEST_SUBARCH_AT == 0x23C
    assert load(tmp_path, bytes(image), subarch=subarch).param(0x23C, "I") == subarch


def test_bytes_beyond_the_header_stay_zero(tmp_path: Path) -> None:
    image = bytearray(bzimage(jump=0x10))
    image[0x212:0x290] = b"\xaa" * (0x290 - 0x212)
    struct.pack_into("<I", image, 0x22C, 0x7FFFFFFF)
    struct.pack_into("<IB", image, 0x230, 0x200000, 0)
    struct.pack_into("<I", image, 0x214, 0x100000)
    struct.pack_into("<H", image, 0x236, 0)
    struct.pack_into("<QI", image, 0x258, 0x200000, 0x1000)
    loaded = load(tmp_path, bytes(image))
    assert loaded.memory.read(loaded.state.esi + 0x254, 0x3C) == bytes(0x3C)


def test_the_screen_is_a_vga_in_mode_3(tmp_path: Path) -> None:
    loaded = load(tmp_path, bzimage())
    assert [loaded.param(at, "B") for at in (0x000, 0x001, 0x006, 0x007, 0x00E, 0x00F)] == [0, 0, 3, 80, 25, 1]
    assert (loaded.param(0x00A, "H"), loaded.param(0x010, "H")) == (3, 16)


def test_memory_is_told_in_three_ways(tmp_path: Path) -> None:
    loaded = load(tmp_path, bzimage())
    assert loaded.param(0x002, "H") == loaded.param(0x1E0, "I") == 7 * 1024
    assert loaded.param(0x1E8, "B") == 4
    table = loaded.memory.read(loaded.state.esi + 0x2D0, 4 * 20)
    expected = [(entry.start, entry.end - entry.start, entry.kind) for entry in memory_map(RAM)]
    assert list(struct.iter_unpack("<QQI", table)) == expected


def test_ext_mem_k_stops_at_its_largest_value(tmp_path: Path) -> None:
    loaded = load(tmp_path, bzimage(), ram=128 * MIB)
    assert loaded.param(0x002, "H") == 0xFFFF
    assert loaded.param(0x1E0, "I") == 127 * 1024


@pytest.mark.parametrize("size", [1, 4095, 4096, 4097, MIB])
def test_initrd_ends_in_the_last_page_of_ram(tmp_path: Path, size: int) -> None:
    data = bytes([0x5A]) * size
    loaded = load(tmp_path, bzimage(), initrd=data)
    at = loaded.param(0x218, "I")
    assert loaded.param(0x21C, "I") == size
    assert at == (RAM - size) // 4096 * 4096
    assert loaded.memory.read(at, size) == data


def test_initrd_stays_below_the_kernels_limit(tmp_path: Path) -> None:
    loaded = load(tmp_path, bzimage(initrd_addr_max=0x4FFFFF), initrd=bytes(4096))
    assert loaded.param(0x218, "I") == 0x4FF000


def test_initrd_goes_below_the_kernel_where_there_is_no_room_above(tmp_path: Path) -> None:
    loaded = load(tmp_path, bzimage(init_size=6 * MIB), initrd=bytes(MIB))
    assert loaded.param(0x218, "I") == MIB


def test_without_initrd_its_fields_are_zero(tmp_path: Path) -> None:
    loaded = load(tmp_path, bzimage())
    assert (loaded.param(0x218, "I"), loaded.param(0x21C, "I")) == (0, 0)


def test_longest_command_line(tmp_path: Path) -> None:
    assert load(tmp_path, bzimage(), append="x" * 2047).command_line() == b"x" * 2047
    with pytest.raises(ImageError, match="2048 bytes, the kernel takes 2047"):
        load(tmp_path, bzimage(), append="x" * 2048)


def test_longest_command_line_before_protocol_2_06(tmp_path: Path) -> None:
    image = bzimage(version=0x205, kernel_alignment=0x100000)
    assert load(tmp_path, image, append="x" * 255).command_line() == b"x" * 255
    with pytest.raises(ImageError, match="the kernel takes 255"):
        load(tmp_path, image, append="x" * 256)


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        (b"MZ" + bytes(5000), "not a Linux bzImage"),
        (bzimage()[:0x280], "not a Linux bzImage"),
        (bzimage(boot_flag=0), "not a Linux bzImage"),
        (bzimage(version=0x1FF), r"protocol 1\.255 is known"),
        (bzimage(loadflags=0), "zImage that wants to be entered at 0x100000"),
        (zimage(bytes(0x8F001)), "a zImage of 585729 bytes"),
        (bzimage(xloadflags=1), "x86-64"),
        (bzimage(kernel_alignment=0), "power of 2"),
        (bzimage(kernel_alignment=0x300000), "power of 2"),
        (bzimage(setup_sects=200)[:0x2000], "cut off"),
        (bzimage()[:-16], "cut off"),
        (bzimage(code=b""), "cut off"),
        (bzimage(relocatable_kernel=0, code32_start=0x10000), "below 1 MiB"),
        (bzimage(pref_address=0x7FFFF000, kernel_alignment=1), "not RAM of 8 MiB"),
        (bzimage(pref_address=1 << 63), "damaged"),
        (bzimage(init_size=0x600001), "at least 9M"),
        (bzimage(relocatable_kernel=0, pref_address=0x80000), "not RAM"),
    ],
)
def test_bad_images_are_refused_in_one_line(tmp_path: Path, image: bytes, problem: str) -> None:
    with pytest.raises(ImageError, match=problem) as caught:
        load(tmp_path, image)
    assert str(tmp_path / "bzImage") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_too_large_an_initrd(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"initrd .*6 MiB find no room .*8 MiB of RAM"):
        load(tmp_path, bzimage(), initrd=bytes(6 * MIB))
    with pytest.raises(ImageError, match="larger than the guest's 8 MiB"):
        load(tmp_path, bzimage(), initrd=bytes(9 * MIB))


@pytest.mark.parametrize("version", [0x200, 0x201, 0x202, 0x203, 0x204])
@pytest.mark.parametrize("make", [bzimage, zimage])
def test_old_kernels_have_boot_params_at_90000_and_the_memory_below(
    tmp_path: Path, version: int, make: Callable[..., bytes]
) -> None:
    start = 0x1000 if make is zimage else 0x100000
    loaded = load(tmp_path, make(version=version), append="root=x", initrd=bytes(MIB))
    assert (loaded.state.eip, loaded.state.esi) == (start, 0x90000)
    assert loaded.memory.read(start, len(CODE)) == CODE
    if version >= 0x202:
        at = loaded.param(0x228, "I")
    else:
        assert loaded.param(0x020, "H") == 0xA33F
        at = 0x90000 + loaded.param(0x022, "H")
    assert loaded.memory.read(at, 7) == b"root=x\0"
    assert 0x91000 <= at < 0x9FC00
    assert loaded.state.gdtr.base < 0x1000
    assert loaded.param(0x218, "I") == RAM - MIB
    assert loaded.param(0x1E0, "I") == 7 * 1024


@pytest.mark.parametrize(("version", "limit"), [(0x202, 0x37FFFFFF), (0x203, 0x4FFFFF)])
def test_the_initrds_limit_came_with_protocol_2_03(tmp_path: Path, version: int, limit: int) -> None:
    loaded = load(tmp_path, bzimage(version=version, initrd_addr_max=0x4FFFFF), initrd=bytes(4096))
    assert loaded.param(0x218, "I") == min(RAM, limit + 1) - 4096


@pytest.mark.parametrize("version", [0x200, 0x203])
def test_a_bzimage_before_2_04_is_as_long_as_its_file(tmp_path: Path, version: int) -> None:
    loaded = load(tmp_path, bzimage(version=version, syssize=1))
    assert loaded.memory.read(0x100000, len(CODE)) == CODE
    loaded = load(tmp_path, zimage(syssize=0xABCD0001, version=version))
    assert loaded.memory.read(0x1000, 17) == CODE[:16] + b"\0"


def test_a_zimage_runs(tmp_path: Path) -> None:
    """It is entered at 0x1000 in protected mode, with boot_params in ESI."""
    code = machine_code("""\
        0f b7 56 22          ; movzx edx, word [esi + 0x22]: the command line's offset
        0f b6 04 16          ; movzx eax, byte [esi + edx]
        e6 f4                ; out 0xf4, al
        f4                   ; hlt
        """)
    kernel = tmp_path / "zImage"
    kernel.write_bytes(zimage(code))
    with Machine(kernel=kernel, append="!", memory=RAM) as machine:
        outcome = machine.run(LIMIT_S)
    assert isinstance(outcome, GuestExit)
    assert outcome.value == ord("!")


VALUES = st.one_of(st.integers(0, (1 << 64) - 1), st.sampled_from([0, 1, 0xFFFFFFFF, 0x100000, 0x9FC00, RAM, RAM - 1]))


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    changes=st.dictionaries(st.sampled_from(sorted(FIELDS)), VALUES, max_size=5),
    cut=st.one_of(st.none(), st.integers(0, 4000)),
    initrd=st.one_of(st.none(), st.integers(1, 5 * MIB)),
    noise=st.lists(st.tuples(st.integers(0x1F1, 0x28F), st.integers(0, 255)), max_size=6),
)
def test_no_header_leads_to_anything_but_a_loaded_kernel_or_an_image_error(
    tmp_path: Path,
    changes: dict[str, int],
    cut: int | None,
    initrd: int | None,
    noise: list[tuple[int, int]],
) -> None:
    image = bytearray(bzimage())
    for name, value in changes.items():
        offset, form, _ = FIELDS[name]
        struct.pack_into("<" + form, image, offset, value & (1 << 8 * struct.calcsize(form)) - 1)
    for offset, value in noise:
        image[offset] = value
    content = None if initrd is None else bytes(initrd)
    loaded = unless_refused(lambda: load(tmp_path, bytes(image[:cut]), initrd=content))
    if loaded is not None:
        assert MIB <= loaded.state.eip < RAM or loaded.state.eip == 0x1000
        assert loaded.param(0x218, "I") + loaded.param(0x21C, "I") <= RAM


def test_the_table_of_a_disk_is_copied_into_boot_params(tmp_path: Path) -> None:
    """As setup code copies what INT 41h and 46h point to; a vector without a table leaves zeros."""
    kernel, table = tmp_path / "bzImage", bytes(range(1, 17))
    kernel.write_bytes(bzimage())
    memory = GuestMemory(RAM)
    write_memory(memory, Equipment(disk_tables=[b"", table]))
    params = load_linux(memory, kernel).esi
    assert memory.read(params + 0x80, 32) == bytes(16) + table
