# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hyperport.bus.access import Direction, PortCount
from hyperport.bus.port_bus import Path, PortBus
from hyperport.observe.report import UNCLAIMED, port_table


def count(port: int, accesses: int, device: str | None = "uart") -> PortCount:
    return PortCount(port, 1, Direction.OUT, Path.TRAP, device, accesses, accesses)


def test_rows_are_sorted_by_accesses_and_aligned() -> None:
    table = port_table([count(0x80, 3, None), count(0x3F8, 1234567), count(0x20, 50, "pic8259")])
    assert table == (
        "port  size  dir  path  device        accesses  crossings\n"
        "03f8     1  out  trap  uart         1,234,567  1,234,567\n"
        "0020     1  out  trap  pic8259             50         50\n"
        "0080     1  out  trap  (unclaimed)          3          3\n"
        "all                                 1,234,620  1,234,620\n"
    )


def test_string_accesses_show_fewer_crossings_and_paths_their_own_rows() -> None:
    bus = PortBus()
    bus.outp_block(0x3F8, 1, b"hello", Path.HYPERCALL)
    bus.outp(0x3F8, 4, 0, Path.EXIT)
    rows = [line.split() for line in port_table(bus.counts()).splitlines()]
    assert rows[1] == ["03f8", "1", "out", "hypercall", UNCLAIMED, "5", "1"]
    assert rows[2] == ["03f8", "4", "out", "exit", UNCLAIMED, "1", "1"]


def test_long_tables_are_cut_with_a_sum_of_the_rest() -> None:
    lines = port_table([count(port, 100 - port) for port in range(10)], limit=3).splitlines()
    assert len(lines) == 6
    assert lines[4].split() == ["7", "more", "658", "658"]
    assert lines[5].split() == ["all", "955", "955"]


def test_nothing_accessed() -> None:
    assert port_table([]).splitlines()[1].split() == ["all", "0", "0"]


@given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.integers(1, 10**12)), max_size=60))
def test_every_line_has_the_same_columns(rows: list[tuple[int, int]]) -> None:
    lines = port_table([count(port, accesses) for port, accesses in rows]).splitlines()
    assert len(lines) == 2 + min(len(rows), 40) + (len(rows) > 40)
    assert len({len(line) for line in lines}) == 1
