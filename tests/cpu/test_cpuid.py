# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import pytest

from hyperport.cpu import cpuid


@pytest.mark.parametrize("khz", [25_000, 999_990, 2_100_000, 4_294_970, 8_000_000])
def test_the_speed_is_exact_as_linux_computes_it(khz: int) -> None:
    table = cpuid.leaves(tsc_khz=khz)
    eax, ebx, ecx, _ = table[0x15]
    product = ecx // 1000 * ebx  # native_calibrate_tsc(): unsigned int, in kHz of the crystal
    assert product < 1 << 32
    assert product // eax == khz
    assert ecx * ebx / eax == khz * 1000  # the SDM's way
    assert abs(table[0x16][0] * 1000 - khz) <= 500
    assert table[0][0] == 0x16
    assert table[0x80000007][3] == cpuid.INVARIANT_TSC_EDX


def test_an_unknown_speed_is_not_told() -> None:
    table = cpuid.leaves()
    assert not {0x15, 0x16, 0x80000007} & set(table)
    assert table[0][0] == 7


def test_every_leaf_is_within_what_the_first_one_says() -> None:
    for khz in (0, 2_000_000):
        table = cpuid.leaves({0x40000000: (0x40000000, 0, 0, 0)}, khz)
        assert max(leaf for leaf in table if leaf < 0x40000000) == table[0][0]
        assert max(table) == table[0x80000000][0]
