# SPDX-License-Identifier: GPL-2.0-or-later
"""What a device reaches of the guest's memory: RAM as the guest has it, whole ranges only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperport.errors import AccessError
from hyperport.memory.dma import DmaView
from hyperport.memory.ram import GuestMemory

SIZE = 2 << 20
EDGES = st.sampled_from([0, 0x9FFFF, 0xA0000, 0xA0001, 0xB7FFF, 0xB8000, 0xBFFFF, 0xC0000, SIZE - 1, SIZE, SIZE + 1])
ADDRESSES = EDGES | st.integers(-10, SIZE + 10) | st.integers(1 << 62, 1 << 70)
LENGTHS = st.integers(-2, 20) | EDGES | st.integers(1 << 62, 1 << 70)


def inside(memory: GuestMemory, address: int, length: int) -> bool:
    return length >= 0 and any(low <= address and address + length <= high for low, high in memory.regions())


@given(ADDRESSES, LENGTHS)
def test_only_ranges_that_are_ram_are_read(address: int, length: int) -> None:
    memory = GuestMemory(SIZE)
    view = DmaView(memory)
    assert view.is_ram(address, length) == inside(memory, address, length)
    if view.is_ram(address, length):
        assert view.read(address, length) == memory.read(address, length)
    else:
        with pytest.raises(AccessError, match="not RAM"):
            view.read(address, length)


@given(ADDRESSES, st.binary(max_size=40))
def test_a_write_is_whole_or_nothing(address: int, data: bytes) -> None:
    memory = GuestMemory(SIZE)
    view = DmaView(memory)
    if inside(memory, address, len(data)):
        view.write(address, data)
        assert view.read(address, len(data)) == data
        return
    with pytest.raises(AccessError, match="not RAM"):
        view.write(address, data)
    assert memory.read(0, SIZE) == bytes(SIZE)


def test_the_view_knows_the_size() -> None:
    assert DmaView(GuestMemory(SIZE)).size == SIZE
