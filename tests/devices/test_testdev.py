# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperport.devices.testdev import TestDevice

DATA = 0
CONTROL = 4
FNV_START = 2166136261
SIZES = st.sampled_from([1, 2, 4])


def stream(seed: int, sizes: Iterable[int]) -> list[int]:
    """What reads of these sizes give, by the description of the chip."""
    values = []
    for size in sizes:
        seed = (seed * 1664525 + 1013904223) % 2**32
        values.append(seed >> 32 - 8 * size)
    return values


def checksum(elements: Iterable[int]) -> int:
    total = FNV_START
    for element in elements:
        total = (total ^ element) * 16777619 % 2**32
    return total


@given(seed=st.integers(0, 2**32 - 1), sizes=st.lists(SIZES))
def test_reads_give_the_stream(seed: int, sizes: list[int]) -> None:
    chip = TestDevice()
    chip.write(CONTROL, 4, seed)
    assert [chip.read(DATA, size) for size in sizes] == stream(seed, sizes)


@given(seed=st.integers(0, 2**32 - 1), size=SIZES, count=st.integers(0, 600))
def test_a_block_is_the_stream_too(seed: int, size: int, count: int) -> None:
    chip = TestDevice()
    chip.write(CONTROL, 4, seed)
    elements = stream(seed, [size] * (count + 1))
    assert chip.read_block(DATA, size, count) == b"".join(element.to_bytes(size, "little") for element in elements[:-1])
    assert chip.read(DATA, size) == elements[-1]


@given(writes=st.lists(st.tuples(SIZES, st.integers(0, 2**32 - 1))))
def test_writes_fold_into_the_checksum(writes: list[tuple[int, int]]) -> None:
    chip = TestDevice()
    for size, value in writes:
        chip.write(DATA, size, value)
    assert chip.read(CONTROL, 4) == checksum(value % 2 ** (8 * size) for size, value in writes)


@given(size=SIZES, elements=st.integers(0, 300), data=st.data())
def test_a_written_block_folds_element_by_element(size: int, elements: int, data: st.DataObject) -> None:
    block = data.draw(st.binary(min_size=elements * size, max_size=elements * size))
    chip = TestDevice()
    chip.write_block(DATA, size, block)
    values = (int.from_bytes(block[at : at + size], "little") for at in range(0, len(block), size))
    assert chip.read(CONTROL, 4) == checksum(values)


def test_seeding_starts_both_anew() -> None:
    chip = TestDevice()
    chip.write_block(DATA, 2, b"lost")
    chip.read(DATA, 4)
    chip.write(CONTROL, 4, 7)
    assert chip.read(CONTROL, 4) == FNV_START
    assert chip.read(DATA, 1) == stream(7, [1])[0]


def test_reading_and_writing_do_not_meet() -> None:
    chip = TestDevice()
    chip.write(DATA, 4, 0xDEADBEEF)
    assert chip.read(DATA, 4) == stream(0, [4])[0]
    assert chip.read(CONTROL, 4) == checksum([0xDEADBEEF])


@pytest.mark.parametrize(("offset", "size"), [(1, 1), (2, 2), (3, 1), (4, 1), (4, 2), (6, 2), (7, 1)])
def test_the_rest_is_empty(offset: int, size: int) -> None:
    chip = TestDevice()
    before = chip.save()
    chip.write(offset, size, 0)
    assert chip.read(offset, size) == 2 ** (8 * size) - 1
    assert chip.read_block(offset, size, 3) == b"\xff" * 3 * size
    chip.write_block(offset, size, bytes(3 * size))
    assert chip.save() == before
