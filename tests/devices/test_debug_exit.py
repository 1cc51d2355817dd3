# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import pytest

from hyperport.bus.port_bus import PortBus
from hyperport.devices.debug_exit import DebugExit
from hyperport.lines.attention import Attention, StopKind


@pytest.mark.parametrize(("size", "value"), [(1, 0x31), (2, 0x1234), (4, 0xDEADBEEF)])
def test_a_write_of_any_width_ends_the_run(size: int, value: int) -> None:
    attention = Attention()
    bus = PortBus()
    bus.attach(DebugExit(attention), 0xF4)
    bus.outp(0xF4, size, value)
    assert attention.take_stop()[:2] == (StopKind.GUEST_EXIT, value)


def test_anywhere_in_a_smaller_window() -> None:
    attention = Attention()
    bus = PortBus()
    bus.attach(DebugExit(attention), 0x501, span=2)
    assert bus.inp(0x501, 2) == 0
    assert attention.take_stop()[0] == StopKind.NONE
    bus.outp(0x502, 1, 7)
    assert attention.take_stop()[:2] == (StopKind.GUEST_EXIT, 7)


def test_the_first_write_wins() -> None:
    attention = Attention()
    port = DebugExit(attention)
    port.write_block(0, 1, b"\x05\x06")
    assert attention.take_stop()[1] == 5
