# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import pytest

from hyperport.devices.power_off import PowerOff
from hyperport.errors import StateError
from hyperport.lines.attention import Attention, StopKind, StopPin
from hyperport.lines.irq import IrqLine


@pytest.fixture
def attention() -> Attention:
    return Attention()


@pytest.fixture
def port(attention: Attention) -> PowerOff:
    return PowerOff(IrqLine(StopPin(attention), StopKind.POWER_OFF))


@pytest.mark.parametrize(("offset", "size", "value"), [(0, 2, 0x2000), (0, 2, 0x3C01), (1, 1, 0x20), (1, 1, 0x34)])
def test_sleep_enable_switches_off(attention: Attention, port: PowerOff, offset: int, size: int, value: int) -> None:
    port.write(offset, size, value)
    assert attention.take_stop()[0] == StopKind.POWER_OFF
    assert port.read(0, 2) == (value << 8 * offset) & ~0x2000


def test_other_bits_are_only_kept(attention: Attention, port: PowerOff) -> None:
    port.write(0, 2, 0xDC01)
    port.write(0, 1, 0x20)
    assert attention.take_stop()[0] == StopKind.NONE
    assert (port.read(0, 2), port.read(0), port.read(1)) == (0xDC20, 0x20, 0xDC)


def test_a_record_with_sleep_enable_is_refused(port: PowerOff) -> None:
    with pytest.raises(StateError):
        port.load({"control": 0x2000})
