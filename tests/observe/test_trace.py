# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from hyperport.bus.port_bus import Path, PortBus
from hyperport.observe.trace import PortTrace


def traced() -> tuple[PortBus, io.StringIO]:
    bus, stream = PortBus(), io.StringIO()
    bus.observe(PortTrace(stream))
    return bus, stream


def test_lines_show_direction_port_size_and_value() -> None:
    bus, stream = traced()
    bus.outp(0x3F8, 1, 0x41)
    bus.inp(0x1F0, 2)
    bus.outp(0xCF8, 4, 0x80000004)
    assert stream.getvalue() == "out 03f8 1 41\nin  01f0 2 ffff\nout 0cf8 4 80000004\n"


@given(st.sampled_from([1, 2, 4]), st.binary(min_size=4, max_size=64), st.sampled_from(list(Path)))
def test_a_string_access_reads_like_its_elements_on_any_path(size: int, data: bytes, path: Path) -> None:
    data = data[: len(data) // 4 * 4]
    whole, whole_trace = traced()
    whole.outp_block(0x300, size, data, path)
    single, single_trace = traced()
    for at in range(0, len(data), size):
        single.outp(0x300, size, int.from_bytes(data[at : at + size], "little"))
    assert whole_trace.getvalue() == single_trace.getvalue() != ""
