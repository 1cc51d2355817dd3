# SPDX-License-Identifier: GPL-2.0-or-later
"""Guest RAM: every access is inside or an error."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperport.errors import AccessError, ConfigError
from hyperport.memory.ram import LARGE_PAGES_FROM, GuestMemory

SIZE = 1 << 20
memory = GuestMemory(SIZE)


@given(st.integers(-10, SIZE + 10), st.integers(-5, 5000))
def test_reads_are_inside_or_refused(address: int, length: int) -> None:
    if address >= 0 and length >= 0 and address + length <= SIZE:
        assert len(memory.read(address, length)) == length
    else:
        with pytest.raises(AccessError):
            memory.read(address, length)


@given(st.integers(0, 2 * SIZE), st.binary(max_size=100))
def test_writes_are_inside_or_refused(address: int, data: bytes) -> None:
    if address + len(data) <= SIZE:
        memory.write(address, data)
        assert memory.read(address, len(data)) == data
    else:
        with pytest.raises(AccessError):
            memory.write(address, data)


def test_clearing() -> None:
    memory.write(100, b"abc")
    memory.clear()
    assert memory.read(100, 3) == bytes(3)


@pytest.mark.parametrize("size", [0, -1, SIZE - 4096, SIZE + 1, (3 << 30) + 4096, 1 << 64])
def test_impossible_sizes(size: int) -> None:
    with pytest.raises(ConfigError, match="give a multiple of 4 KiB"):
        GuestMemory(size)


@pytest.mark.skipif(not Path("/sys/kernel/mm/transparent_hugepage").exists(), reason="a host without large pages")
def test_large_pages_are_asked_for_where_small_guests_are_not() -> None:
    """The kernel tells of each mapping whether they were ("hg"); the first MiBs are a mapping of their own then."""

    def asked() -> int:
        maps = Path("/proc/self/smaps").read_text().split("VmFlags:")
        spans = [re.findall(r"^([0-9a-f]+)-([0-9a-f]+) ", text, re.MULTILINE)[-1] for text in maps[:-1]]
        flags = [text.split("\n", 1)[0].split() for text in maps[1:]]
        return sum(int(end, 16) - int(first, 16) for (first, end), held in zip(spans, flags, strict=True) if "hg" in held)

    before = asked()
    small = GuestMemory(LARGE_PAGES_FROM)
    assert asked() == before
    large = GuestMemory(LARGE_PAGES_FROM + (4 << 20))
    assert asked() == before + (4 << 20)
    large.write(LARGE_PAGES_FROM - 2, b"abcd")
    assert (large.read(LARGE_PAGES_FROM - 2, 4), small.size) == (b"abcd", LARGE_PAGES_FROM)
