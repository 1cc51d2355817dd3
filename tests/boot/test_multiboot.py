# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hyperport.boot.e820 import memory_map
from hyperport.boot.multiboot import MAGIC, load_multiboot
from hyperport.cpu.state import CpuState
from hyperport.errors import ImageError
from hyperport.memory.ram import GuestMemory

from .images import elf, multiboot_header, unless_refused

MIB = 1 << 20
RAM = 8 * MIB
TEXT = b"\x90" * 100
PROGRAM = elf([(0x100000, 0x100000, TEXT, 0x2000)], 0x100010)
ADDRESSES = 1 << 16


def load(
    folder: Path, image: bytes, *, append: str = "", modules: Sequence[tuple[bytes, str]] = (), ram: int = RAM
) -> tuple[GuestMemory, CpuState]:
    kernel = folder / "kernel"
    kernel.write_bytes(image)
    files = []
    for number, (data, text) in enumerate(modules):
        path = folder / f"module{number}"
        path.write_bytes(data)
        files.append((path, text))
    memory = GuestMemory(ram)
    return memory, load_multiboot(memory, kernel, append=append, modules=files)


def info(memory: GuestMemory, state: CpuState) -> tuple[int, ...]:
    return struct.unpack("<17I", memory.read(state.ebx, 68))


def text_at(memory: GuestMemory, address: int) -> bytes:
    return memory.read(address, 256).split(b"\0")[0]


def test_entry_state_is_what_the_specification_asks_for(tmp_path: Path) -> None:
    memory, state = load(tmp_path, PROGRAM)
    assert state.eax == 0x2BADB002
    assert state.eip == 0x100010
    assert state.cr0 & 1
    assert not state.cr0 >> 31
    assert not state.eflags & (1 << 9 | 1 << 17)
    assert (state.cs.base, state.cs.limit) == (0, 0xFFFFFFFF)
    assert memory.read(0x100000, 101) == TEXT + b"\0"


def test_information(tmp_path: Path) -> None:
    memory, state = load(tmp_path, PROGRAM, append="one two=3")
    words = info(memory, state)
    assert words[0] == 1 << 0 | 1 << 2 | 1 << 3 | 1 << 6 | 1 << 9
    assert words[1:3] == (639, 7 * 1024)
    assert text_at(memory, words[4]) == b"kernel one two=3"
    assert words[5:7] == (0, 0)
    assert text_at(memory, words[16]) == b"hyperport"


def test_memory_map(tmp_path: Path) -> None:
    memory, state = load(tmp_path, PROGRAM)
    length, address = info(memory, state)[11:13]
    rows = list(struct.iter_unpack("<IQQI", memory.read(address, length)))
    assert rows == [(20, entry.start, entry.end - entry.start, entry.kind) for entry in memory_map(RAM)]


def test_modules_begin_at_pages_after_the_kernel(tmp_path: Path) -> None:
    contents = [(b"a" * 5000, "first x"), (b"b", ""), (b"c" * 4096, "third")]
    memory, state = load(tmp_path, PROGRAM, modules=contents)
    count, table = info(memory, state)[5:7]
    assert count == 3
    rows = list(struct.iter_unpack("<4I", memory.read(table, 48)))
    assert [row[0] for row in rows] == [0x102000, 0x104000, 0x105000]
    for (start, end, string, reserved), (data, text) in zip(rows, contents, strict=True):
        assert memory.read(start, end - start) == data
        assert text_at(memory, string) == text.encode()
        assert reserved == 0


def test_segments_go_to_their_physical_addresses_and_the_entry_too(tmp_path: Path) -> None:
    image = elf(
        [(0xC0100000, 0x100000, b"text", 4), (0xC0200000, 0x200000, b"data", 4096), (0, 0x300000, b"", 0)], 0xC0100002
    )
    memory, state = load(tmp_path, image)
    assert state.eip == 0x100002
    assert memory.read(0x100000, 4) + memory.read(0x200000, 4) == b"textdata"


def test_an_entry_may_be_a_physical_address_where_no_segment_has_it_as_virtual(tmp_path: Path) -> None:
    """As xv6's kernel names it: linked at 80100000h, loaded and entered at 100000h, where its header stands."""
    segments = [(0x80100000, 0x100000, TEXT, 0x1000), (0x80108000, 0x108000, b"data", 0x2000)]
    assert load(tmp_path, elf(segments, 0x10000C))[1].eip == 0x10000C
    assert load(tmp_path, elf(segments, 0x80108001))[1].eip == 0x108001
    with pytest.raises(ImageError, match="entry 0x80110000"):
        load(tmp_path, elf(segments, 0x80110000))
    crossed = [(0x200000, 0x100000, TEXT, 100), (0x100000, 0x200000, TEXT, 100)]
    assert load(tmp_path, elf(crossed, 0x100010))[1].eip == 0x200010, "a virtual address comes first"


@pytest.mark.parametrize(
    ("name", "append", "told"),
    [
        ("kernel.elf", "", b"kernel.elf"),
        ("kernel.elf", "a=1  b", b"kernel.elf a=1  b"),
        ("my kernel", "a", rb"my\ kernel a"),
        ("back\\slash", "", rb"back\\slash"),
        ("\udcff", "x", b"\xff x"),
    ],
)
def test_the_command_line_begins_with_the_images_name(tmp_path: Path, name: str, append: str, told: bytes) -> None:
    image = tmp_path / "folder" / name
    image.parent.mkdir()
    image.write_bytes(PROGRAM)
    memory = GuestMemory(RAM)
    state = load_multiboot(memory, image, append=append)
    assert text_at(memory, info(memory, state)[4]) == told


def test_a_segment_may_lie_in_conventional_memory(tmp_path: Path) -> None:
    memory, state = load(tmp_path, elf([(0x1000, 0x1000, TEXT, 0x8E000)], 0x1000))
    assert memory.read(0x1000, len(TEXT)) == TEXT
    assert 0x500 <= state.ebx < 0x1000 - 116


def test_addresses_in_the_header(tmp_path: Path) -> None:
    image = b"\xcc" * 8 + multiboot_header(ADDRESSES, (0x110008, 0x110000, 0x110040, 0x120000, 0x110020)) + b"y" * 80
    memory, state = load(tmp_path, image)
    assert state.eip == 0x110020
    assert memory.read(0x110000, 0x41) == image[:0x40] + b"\0"
    _, state = load(tmp_path, image, modules=[(b"m", "")])
    assert state.eip == 0x110020


def test_header_may_ask_for_the_whole_file_and_a_later_start(tmp_path: Path) -> None:
    image = b"skip" + multiboot_header(ADDRESSES, (0x110000, 0x110000, 0, 0, 0x110000)) + b"rest"
    memory, _ = load(tmp_path, image)
    assert memory.read(0x110000, 37) == image[4:] + b"\0"


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        (b"x", "no Multiboot header"),
        (bytes(8192) + PROGRAM, "no Multiboot header"),
        (elf([], 0, struct.pack("<3I", MAGIC, 0, 1)), "no Multiboot header"),
        (elf([], 0, b"xx" + multiboot_header()), "no Multiboot header"),
        (multiboot_header(1 << 2) + PROGRAM, "flags 0x4"),
        (multiboot_header(0xFFFF) + PROGRAM, "flags 0xfffc"),
        (multiboot_header() + PROGRAM, "neither an ELF file"),
        (multiboot_header(), "neither an ELF file"),
        (elf([(0x100000, 0x100000, TEXT, 100)], 0x100000, ident=b"\x7fELF\x02\x01"), "not for i386"),
        (elf([(0x100000, 0x100000, TEXT, 100)], 0x100000, machine=62), "not for i386"),
        (elf([(0x100000, 0x100000, TEXT, 100)], 0x100000, phentsize=0), "program headers are outside"),
        (elf([(0x100000, 0x100000, TEXT, 100)], 0x100000, phnum=65535), "program headers are outside"),
        (elf([(0x100000, 0x100000, TEXT, 100)], 0x100000, phoff=0xFFFFFFFF), "program headers are outside"),
        (elf([(0x100000, 0x100000, TEXT, 99)], 0x100000), "outside the file"),
        (elf([(0x100000, 0x100000, TEXT, 200)], 0x100000)[:-1], "outside the file"),
        (elf([(0x100000, 0x100000, TEXT, 100)], 0x200000), "in no loadable segment"),
        (elf([(0, 0xA0000, TEXT, 100)], 0), "not RAM"),
        (elf([(0, RAM - 99, TEXT, 100)], 0), "not RAM of 8 MiB"),
        (elf([(0, 0xFFFFFFFF, TEXT, 100)], 0), "damaged"),
        (elf([(0, 0, TEXT, 100)], 0), "taken by the BIOS data area"),
        (elf([(0, 0x100000, TEXT, 100), (0, 0x100063, TEXT, 100)], 0), "is taken by"),
        (elf([(page, 0x100000 + page, b"x", 1) for page in range(129)], 0), "more than 128"),
        (multiboot_header(ADDRESSES, (0x100000, 0x110000, 0, 0, 0x110000)), "addresses ask for bytes"),
        (multiboot_header(ADDRESSES, (0x110000, 0x110000, 0x10FFFF, 0, 0x110000)), "addresses ask for bytes"),
        (multiboot_header(ADDRESSES, (0x110000, 0x110000, 0x110100, 0, 0x110000)), "addresses ask for bytes"),
        (multiboot_header(ADDRESSES, (0x110000, 0x110000, 0, 0, 0x120000)), "entry 0x120000"),
        (multiboot_header(ADDRESSES), "addresses ask for bytes|entry|taken"),
    ],
)
def test_bad_images_are_refused_in_one_line(tmp_path: Path, image: bytes, problem: str) -> None:
    with pytest.raises(ImageError, match=problem) as caught:
        load(tmp_path, image)
    assert str(tmp_path / "kernel") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_modules_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"module .*module1: no room"):
        load(tmp_path, PROGRAM, modules=[(bytes(4 * MIB), ""), (bytes(4 * MIB), "")])
    with pytest.raises(ImageError, match="257 modules"):
        load(tmp_path, PROGRAM, modules=[(b"m", "")] * 257)
    with pytest.raises(ImageError, match=r"string of module .*module0: 65536 bytes"):
        load(tmp_path, PROGRAM, modules=[(b"m", "s" * 65536)])


def test_too_long_a_command_line(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="command line"):
        load(tmp_path, PROGRAM, append="x" * 65536)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    words=st.lists(
        st.tuples(st.integers(0, 40), st.one_of(st.integers(0, (1 << 32) - 1), st.sampled_from([0, 1, RAM, MIB]))),
        max_size=5,
    ),
    addresses=st.one_of(st.none(), st.tuples(*[st.integers(0x100000 - 64, 0x100000 + 256)] * 5)),
    cut=st.one_of(st.none(), st.integers(0, 300)),
)
def test_no_image_leads_to_anything_but_a_loaded_kernel_or_an_image_error(
    tmp_path: Path, words: list[tuple[int, int]], addresses: tuple[int, ...] | None, cut: int | None
) -> None:
    if addresses is None:
        image = bytearray(PROGRAM.ljust(256, b"\0"))
    else:
        image = bytearray((multiboot_header(ADDRESSES, addresses)).ljust(256, b"\0"))
    for index, value in words:
        struct.pack_into("<I", image, index * 4, value)
    loaded = unless_refused(lambda: load(tmp_path, bytes(image[:cut]), modules=[(b"m", "text")]))
    if loaded is not None:
        memory, state = loaded
        assert state.eip < RAM
        assert info(memory, state)[5] == 1
