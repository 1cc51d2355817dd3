# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import pytest

from hyperport.bus.port_bus import PortBus
from hyperport.devices.pci_host import PciHost
from hyperport.devices.reset_cf9 import ResetCf9
from hyperport.errors import StateError
from hyperport.lines.attention import Attention, StopKind, StopPin
from hyperport.lines.irq import IrqLine


class Rig:
    """The host bridge with the reset control register inside its ports, on a bus."""

    def __init__(self) -> None:
        self.attention = Attention()
        self.reset = ResetCf9(IrqLine(StopPin(self.attention), StopKind.RESET))
        self.bus = PortBus()
        self.bus.attach(PciHost(self.reset), 0xCF8)

    def was_reset(self) -> bool:
        return bool(self.attention.take_stop()[0] == StopKind.RESET)


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_address_register_takes_doublewords_only(rig: Rig) -> None:
    rig.bus.outp(0xCF8, 4, 0xFFFFFFFF)
    assert rig.bus.inp(0xCF8, 4) == 0x80FFFFFC
    rig.bus.outp(0xCF8, 4, 0x80000000)
    for port, size in ((0xCF8, 1), (0xCF8, 2), (0xCFA, 2), (0xCFB, 1)):
        rig.bus.outp(port, size, 0x01 << 8 * (size - 1) if port == 0xCFB else 0)
        assert rig.bus.inp(0xCF8, 4) == 0x80000000


def test_mechanism_1_probe_of_a_kernel(rig: Rig) -> None:
    rig.bus.outp(0xCFB, 1, 0x01)
    saved = rig.bus.inp(0xCF8, 4)
    rig.bus.outp(0xCF8, 4, 0x80000000)
    assert rig.bus.inp(0xCF8, 4) == 0x80000000
    assert rig.bus.inp(0xCFC, 4) == 0xFFFFFFFF
    rig.bus.outp(0xCF8, 4, saved)
    assert rig.bus.inp(0xCF8, 4) == 0


@pytest.mark.parametrize("size", [1, 2, 4])
def test_no_function_answers_all_ones(rig: Rig, size: int) -> None:
    rig.bus.outp(0xCF8, 4, 0x80000000)
    for port in range(0xCFC, 0xD00, size):
        rig.bus.outp(port, size, 0)
        assert rig.bus.inp(port, size) == (1 << 8 * size) - 1


def test_reset_control_register_lives_inside(rig: Rig) -> None:
    rig.bus.outp(0xCF9, 1, 0x02)
    assert not rig.was_reset()
    assert rig.bus.inp(0xCF9) == 0x02
    assert rig.bus.inp(0xCF8, 2) == 0x02FF
    rig.bus.outp(0xCF9, 1, 0x06)
    assert rig.was_reset()


def test_words_and_unaligned_doublewords_reach_it_by_their_lane(rig: Rig) -> None:
    rig.bus.outp(0xCF8, 2, 0x0600)
    assert rig.was_reset()
    rig.bus.outp(0xCF9, 4, 0)
    rig.bus.outp(0xCF9, 4, 0xFFFFFF04)
    assert rig.was_reset()
    rig.bus.outp(0xCF9, 4, 0xFFFFFF00)
    rig.bus.outp(0xCF8, 4, 0x0600)
    assert not rig.was_reset(), "a doubleword at CF8h is the address register's"


def test_empty_reset_port() -> None:
    host = PciHost()
    host.write(1, 1, 6)
    assert host.read(1) == 0xFF


def test_the_record_holds_the_reset_control_register() -> None:
    host, other = PciHost(ResetCf9()), PciHost(ResetCf9())
    host.write(0, 4, 0x80001234)
    host.write(1, 1, 0x02)
    other.load(host.save())
    assert (other.read(0, 4), other.read(1)) == (0x80001234, 0x02)
    with pytest.raises(StateError):
        PciHost().load(host.save())
    other.reset()
    assert (other.read(0, 4), other.read(1)) == (0, 0)


def test_a_record_with_reserved_bits_is_refused() -> None:
    with pytest.raises(StateError):
        PciHost().load({"address": 1})
