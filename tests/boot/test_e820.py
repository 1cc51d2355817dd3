# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hyperport.boot.e820 import RAM, RESERVED, Range, lower_kib, memory_map, upper_kib

MIB = 1 << 20


def test_map_of_a_pc_with_16_mib() -> None:
    assert memory_map(16 * MIB) == (
        Range(0, 0x9FC00, RAM),
        Range(0x9FC00, 0xA0000, RESERVED),
        Range(0xF0000, 0x100000, RESERVED),
        Range(0x100000, 0x1000000, RAM),
    )


def test_without_extended_memory_the_map_ends_at_1_mib() -> None:
    assert memory_map(MIB)[-1] == Range(0xF0000, MIB, RESERVED)
    assert upper_kib(MIB) == 0


@given(st.integers(256, 3 << 18).map(lambda pages: pages * 4096))
def test_ranges_are_in_order_and_end_with_ram(ram: int) -> None:
    ranges = memory_map(ram)
    edges = [edge for entry in ranges for edge in (entry.start, entry.end)]
    assert edges == sorted(edges)
    assert edges[-1] == ram
    assert sum(entry.end - entry.start for entry in ranges if entry.kind == RAM) >> 10 == lower_kib() + upper_kib(ram)
