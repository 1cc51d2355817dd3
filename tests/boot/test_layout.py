# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperport.boot.layout import CODE_SELECTOR, DATA_SELECTOR, PAGE, Layout, encode_text, read_file
from hyperport.errors import ImageError
from hyperport.memory.ram import GuestMemory

from .images import unless_refused

MIB = 1 << 20


@pytest.mark.parametrize("start", [0x9FC00 - 1, 0xA0000, 0xB8000, 0xF0000, 0xFFFFF, 4 * MIB - 1, 1 << 40, -1])
def test_claims_outside_ram_are_refused(start: int) -> None:
    with pytest.raises(ImageError, match="the thing"):
        Layout(GuestMemory(4 * MIB)).claim(start, start + 2, "the thing")


def test_a_second_owner_is_refused_by_the_name_of_the_first() -> None:
    layout = Layout(GuestMemory(4 * MIB))
    layout.claim(2 * MIB, 3 * MIB, "first")
    with pytest.raises(ImageError, match="taken by first"):
        layout.claim(3 * MIB - 1, 3 * MIB + 1, "second")
    layout.claim(3 * MIB, 3 * MIB + 1, "neighbour")


def test_too_little_ram_names_the_need() -> None:
    with pytest.raises(ImageError, match="at least 9M with --mem"):
        Layout(GuestMemory(4 * MIB)).claim(8 * MIB, 8 * MIB + 1, "kernel")


def test_find_from_both_ends() -> None:
    layout = Layout(GuestMemory(4 * MIB))
    assert layout.find(100, low=MIB) == MIB
    assert layout.find(100, top=True) == 4 * MIB - PAGE
    assert layout.find(100, high=0x2000, align=16) == 0x500
    assert layout.find(3 * MIB + 1) is None
    assert layout.find(3 * MIB) == MIB


@given(
    st.lists(st.tuples(st.integers(0, 4 * MIB), st.integers(1, MIB)), max_size=8),
    st.integers(1, MIB),
    st.sampled_from([1, 16, PAGE]),
    st.booleans(),
)
def test_what_is_found_can_be_claimed_and_nothing_is_missed(
    taken: list[tuple[int, int]], size: int, align: int, top: bool
) -> None:
    layout = Layout(GuestMemory(4 * MIB))
    for start, length in taken:
        try:
            layout.claim(start, start + length, "taken")
        except ImageError:
            assert not layout_is_free(layout, start, start + length)
    found = layout.find(size, align=align, top=top)
    edges = [0, *(edge for claim in layout.claims for edge in claim[:2]), *(e for w in layout.windows for e in w)]
    places = [-(-edge // align) * align for edge in edges] + [(edge - size) // align * align for edge in edges]
    free = sorted(at for at in places if layout_is_free(layout, at, at + size))
    assert found == ((free[-1] if top else free[0]) if free else None)


def layout_is_free(layout: Layout, start: int, end: int) -> bool:
    inside = any(low <= start and end <= high for low, high in layout.windows)
    return inside and all(end <= low or high <= start for low, high, _ in layout.claims)


def test_gdt_has_flat_code_and_data() -> None:
    memory = GuestMemory(MIB)
    gdtr = Layout(memory).put_gdt()
    table = memory.read(gdtr.base, gdtr.limit + 1)
    descriptors = [struct.unpack_from("<Q", table, selector)[0] for selector in (0, CODE_SELECTOR, DATA_SELECTOR)]
    assert descriptors == [0, 0x00CF9B000000FFFF, 0x00CF93000000FFFF]


def test_read_file_errors_say_which_file(tmp_path: Path) -> None:
    empty, large = tmp_path / "empty", tmp_path / "large"
    empty.touch()
    large.write_bytes(bytes(17))
    for path, problem in ((empty, "empty"), (large, "larger"), (tmp_path, "directory"), (tmp_path / "none", "No such")):
        with pytest.raises(ImageError, match=f"kernel {path}: .*{problem}"):
            read_file(path, "kernel", 16)
    with pytest.raises(ImageError, match="not a path"):
        read_file(tmp_path / "a\0b", "kernel", 16)
    assert read_file(large, "kernel", 17) == bytes(17)


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(0, 20))
def test_text_ends_with_its_only_nul_or_is_refused(text: str, limit: int) -> None:
    data = unless_refused(lambda: encode_text(text, "command line", limit))
    if data is None:
        assert "\0" in text or len(text.encode("utf-8")) > limit
    else:
        assert data.index(0) == len(data) - 1 <= limit


def test_bytes_of_the_command_line_that_are_not_utf8_arrive() -> None:
    assert encode_text("a=\udcff", "command line", 9) == b"a=\xff\0"
    with pytest.raises(ImageError, match="character 2"):
        encode_text("a=\ud800", "command line", 9)
