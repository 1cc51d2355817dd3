# SPDX-License-Identifier: GPL-2.0-or-later
"""Attributes of ports come and go while the machine runs, and whoever uses them is told."""

from __future__ import annotations

import gc
import weakref

import pytest

from hyperport.bus.attributes import PortAttributes
from hyperport.bus.port_bus import PortBus
from hyperport.errors import AccessError

OUT_1, OUT_2, OUT_4, IN_1 = 1, 2, 4, 8


class Latched:
    """Offset 0 holds the attributes of offset 1, as long as bit 7 is clear."""

    span = 4
    widths = (1, 2)

    def __init__(self) -> None:
        self.latch = 0

    def read(self, offset: int, size: int) -> int:
        return self.latch

    def write(self, offset: int, size: int, value: int) -> None:
        if offset == 0:
            self.latch = value

    def attributes(self, offset: int) -> int:
        return self.latch & 0x3F if offset == 1 and not self.latch & 0x80 else 0


def test_what_a_device_says_when_it_is_attached_holds() -> None:
    bus, device = PortBus(), Latched()
    device.latch = OUT_1 | IN_1
    bus.attach(device, 0x300)
    assert [bus.attributes.at(port) for port in (0x2FF, 0x300, 0x301, 0x302)] == [0, 0, OUT_1 | IN_1, 0]
    with pytest.raises(AccessError):
        bus.attributes.at(0x10000)


def test_a_change_reaches_every_window_and_every_bus() -> None:
    first, second, device = PortBus(), PortBus(), Latched()
    attached = first.attach(device, 0x300)
    first.attach(device, 0x400, 2, 1)
    second.attach(attached, 0x500)
    told: list[tuple[str, int, int]] = []
    first.attributes.observe(lambda port, bits: told.append(("first", port, bits)))
    second.attributes.observe(lambda port, bits: told.append(("second", port, bits)))
    device.latch = OUT_1
    assert told == []
    attached.publish_at(1)
    assert sorted(told) == [("first", 0x301, OUT_1), ("first", 0x400, OUT_1), ("second", 0x501, OUT_1)]
    told.clear()
    attached.publish_at(1)
    assert told == [], "nothing has changed"
    device.latch |= 0x80
    attached.publish_at(1)
    assert sorted(told) == [("first", 0x301, 0), ("first", 0x400, 0), ("second", 0x501, 0)]


def test_only_sizes_that_go_whole_have_attributes() -> None:
    bus, device = PortBus(), Latched()
    device.latch = OUT_1 | OUT_2 | OUT_4
    bus.attach(device, 0x300)
    assert bus.attributes.at(0x301) == OUT_1 | OUT_2, "it takes no doublewords"
    bus.attach(device, 0x310, 2)
    assert bus.attributes.at(0x311) == OUT_1, "a word reaches beyond the window"
    bus.attach(device, 0x320, widths=(4,))
    assert bus.attributes.at(0x321) == 0


def test_an_observer_is_told_of_what_holds_already() -> None:
    bus, device = PortBus(), Latched()
    device.latch = OUT_1
    bus.attach(device, 0x300)
    told: list[tuple[int, int]] = []
    for _ in range(100):
        bus.attributes.observe(lambda port, bits: told.append((port, bits)))
    assert told == [(0x301, OUT_1)] * 100


def test_devices_are_asked_until_somebody_observes() -> None:
    bus, device = PortBus(), Latched()
    attached = bus.attach(device, 0x300)
    device.latch = OUT_1
    assert bus.attributes.at(0x301) == OUT_1
    device.latch = OUT_2
    attached.publish_at(1)
    assert bus.attributes.held() == [(0x301, OUT_2)]
    told: list[tuple[int, int]] = []
    device.latch = OUT_1
    bus.attributes.observe(lambda port, bits: told.append((port, bits)))
    assert told == [(0x301, OUT_1)], "what holds now, once"
    device.latch = OUT_2
    assert bus.attributes.at(0x301) == OUT_1, "what was published"
    attached.publish_at(1)
    assert told[1:] == [(0x301, OUT_2)]


def test_a_device_that_comes_after_the_observer_is_heard() -> None:
    bus, device, told = PortBus(), Latched(), list[tuple[int, int]]()
    bus.attributes.observe(lambda port, bits: told.append((port, bits)))
    attached = bus.attach(device, 0x300)
    device.latch = OUT_1
    attached.publish_at(1)
    assert told == [(0x301, OUT_1)]


def test_a_bus_and_its_devices_go_without_the_collector() -> None:
    """They may hold a guest's RAM."""
    bus = PortBus()
    bus.attach(Latched(), 0x300)
    attached = weakref.ref(bus.attach(Latched(), 0x310))
    gc.disable()
    try:
        del bus
        assert attached() is None
    finally:
        gc.enable()


def test_a_device_may_outlive_its_bus() -> None:
    device = Latched()
    attached = PortBus().attach(device, 0x300)
    device.latch = OUT_1
    attached.publish_at(1)
    assert PortAttributes().at(0x301) == 0


def test_a_device_that_fails_to_say_has_none(capsys: pytest.CaptureFixture[str]) -> None:
    class Broken(Latched):
        def attributes(self, offset: int) -> int:
            raise RuntimeError("who knows")

    bus = PortBus()
    bus.attach(Broken(), 0x300)
    assert bus.attributes.at(0x301) == 0
    assert "who knows" in capsys.readouterr().err
