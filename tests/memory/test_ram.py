# SPDX-License-Identifier: GPL-2.0-or-later
"""Guest RAM: every access is inside or an error."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperport.errors import AccessError, ConfigError
from hyperport.memory.ram import GuestMemory

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
