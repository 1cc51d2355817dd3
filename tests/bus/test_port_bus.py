# SPDX-License-Identifier: GPL-2.0-or-later
"""The port space: ownership, splitting, all ones, counters, observers."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperport.bus.access import Direction, PortAccess
from hyperport.bus.port_bus import Path, PortBus
from hyperport.errors import AccessError, ConfigError
from hyperport.memory.ram import GuestMemory


class Recorder:
    """A device that logs accesses and answers offset + 1 in every byte."""

    name = "recorder"

    def __init__(self, span: int = 8, widths: tuple[int, ...] = (1,)) -> None:
        self.span = span
        self.widths = widths
        self.log: list[tuple[Any, ...]] = []

    def read(self, offset: int, size: int) -> int:
        self.log.append(("in", offset, size))
        return int.from_bytes(bytes(offset + i + 1 for i in range(size)), "little")

    def write(self, offset: int, size: int, value: int) -> None:
        self.log.append(("out", offset, size, value))


def test_nobody_home_reads_all_ones() -> None:
    bus = PortBus()
    assert [bus.inp(0x1234, size) for size in (1, 2, 4)] == [0xFF, 0xFFFF, 0xFFFFFFFF]
    bus.outp(0x1234, 4, 0xDEADBEEF)
    assert {count.device for count in bus.counts()} == {None}


def test_wide_access_goes_whole_to_a_device_that_takes_it() -> None:
    bus = PortBus()
    device = Recorder(widths=(1, 2, 4))
    bus.attach(device, 0x300)
    assert bus.inp(0x302, 4) == 0x06050403
    bus.outp(0x300, 2, 0x1BEEF)
    assert device.log == [("in", 2, 4), ("out", 0, 2, 0xBEEF)]


def test_wide_access_is_split_low_port_first() -> None:
    bus = PortBus()
    device = Recorder()
    bus.attach(device, 0x300)
    assert bus.inp(0x300, 4) == 0x04030201
    bus.outp(0x304, 2, 0xBBAA)
    assert device.log == [*(("in", i, 1) for i in range(4)), ("out", 4, 1, 0xAA), ("out", 5, 1, 0xBB)]


def test_split_prefers_the_widest_half() -> None:
    bus = PortBus()
    device = Recorder(widths=(1, 2))
    bus.attach(device, 0x300)
    bus.outp(0x300, 4, 0x44332211)
    assert device.log == [("out", 0, 2, 0x2211), ("out", 2, 2, 0x4433)]


def test_access_across_the_end_of_a_device() -> None:
    bus = PortBus()
    bus.attach(Recorder(span=2, widths=(1, 2, 4)), 0x300)
    assert bus.inp(0x301, 2) == 0xFF02
    assert bus.inp(0x2FF, 2) == 0x01FF


def test_access_across_the_last_port() -> None:
    bus = PortBus()
    bus.attach(Recorder(span=1, widths=(1, 2, 4)), 0xFFFF)
    assert bus.inp(0xFFFF, 4) == 0xFFFFFF01
    bus.outp(0xFFFF, 4, 0)


def test_windows_give_a_chip_scattered_ports() -> None:
    bus = PortBus()
    device = Recorder(span=5)
    bus.attach(device, 0x20, 2, 0)
    bus.attach(device, 0xA0, 3, 2)
    assert [bus.inp(port) for port in (0x20, 0x21, 0xA0, 0xA2, 0xA3)] == [1, 2, 3, 5, 0xFF]
    assert len(bus.devices()) == 1
    assert bus.map() == [(0x20, 0x21, "recorder"), (0xA0, 0xA2, "recorder")]


def test_overlap_is_an_error_that_names_the_owner() -> None:
    bus = PortBus()
    bus.attach(Recorder(), 0x300)
    with pytest.raises(ConfigError, match="port 0x307 belongs to recorder"):
        bus.attach(Recorder(span=1), 0x307)


@pytest.mark.parametrize(("base", "span", "offset"), [(0xFFFC, 8, 0), (-1, 1, 0), (0, 0, 0), (0, 9, 0), (0, 1, 8)])
def test_windows_outside_the_ports_or_the_device(base: int, span: int, offset: int) -> None:
    with pytest.raises(ConfigError):
        PortBus().attach(Recorder(), base, span, offset)


def test_something_else_is_no_device() -> None:
    with pytest.raises(ConfigError, match=r"has no read and no write"):
        PortBus().attach(object(), 0)


def test_a_device_with_a_bad_width() -> None:
    with pytest.raises(ConfigError, match="widths"):
        PortBus().attach(Recorder(widths=(3,)), 0)


def test_a_thousand_python_devices() -> None:
    bus = PortBus()
    devices = [Recorder(span=4, widths=(1, 2)) for _ in range(1000)]
    for number, device in enumerate(devices):
        bus.attach(device, 4 * number)
    assert bus.inp(4 * 777 + 2, 2) == 0x0403
    assert devices[777].log == [("in", 2, 2)]
    assert len(bus.map()) == len(bus.devices()) == 1000


def test_every_port_can_have_a_window_of_its_own() -> None:
    bus = PortBus()
    device = Recorder(span=1)
    for port in range(0x10000):
        bus.attach(device, port)
    assert len(bus.map()) == 0x10000
    assert len(bus.devices()) == 1
    bus.outp(0xFFFF, 1, 5)
    assert device.log == [("out", 0, 1, 5)]


def test_many_observers() -> None:
    bus = PortBus()
    seen: list[int] = []
    for number in range(100):
        bus.observe(partial(lambda number, access: seen.append(number), number))
    bus.inp(0x80)
    assert seen == list(range(100))


def test_a_window_has_widths_of_its_own() -> None:
    bus = PortBus()
    device = Recorder(span=4, widths=(1,))
    bus.attach(device, 0x300)
    bus.attach(device, 0x310, widths=(1, 2, 4))
    bus.outp(0x300, 2, 0x0201)
    bus.outp(0x310, 4, 0x04030201)
    bus.outp(0x313, 2, 0x0605)
    assert device.log == [
        ("out", 0, 1, 0x01),
        ("out", 1, 1, 0x02),
        ("out", 0, 4, 0x04030201),
        ("out", 3, 1, 0x05),
    ]
    with pytest.raises(ConfigError, match="widths"):
        bus.attach(device, 0x320, widths=())


def test_an_offset_has_widths_of_its_own() -> None:
    device = Recorder(span=8, widths=(1,))
    device.widths_at = {0: (1, 2, 4), 4: (4,)}  # type: ignore[attr-defined]
    bus = PortBus()
    bus.attach(device, 0x300)
    for port, size in ((0x300, 4), (0x300, 2), (0x301, 2), (0x302, 4), (0x304, 4), (0x304, 1)):
        bus.outp(port, size, 0x44332211)
    assert device.log == [
        ("out", 0, 4, 0x44332211),
        ("out", 0, 2, 0x2211),
        ("out", 1, 1, 0x11),
        ("out", 2, 1, 0x22),
        ("out", 2, 1, 0x11),
        ("out", 3, 1, 0x22),
        ("out", 5, 1, 0x44),
        ("out", 4, 4, 0x44332211),
    ]
    bus.attach(device, 0x310)
    bus.outp(0x312, 4, 0x44332211)
    assert device.log[-3:] == [("out", 2, 1, 0x11), ("out", 3, 1, 0x22), ("out", 5, 1, 0x44)]


def test_strings_are_one_crossing_and_many_accesses() -> None:
    bus = PortBus()
    device = Recorder(widths=(1, 2))
    bus.attach(device, 0x300)
    assert bus.inp_block(0x300, 2, 3) == b"\x01\x02" * 3
    bus.outp_block(0x300, 2, b"abcd", Path.HYPERCALL)
    rows = {(c.direction, c.size, c.path): (c.accesses, c.crossings) for c in bus.counts()}
    assert rows == {
        (Direction.IN, 2, Path.EXIT): (3, 1),
        (Direction.OUT, 2, Path.HYPERCALL): (2, 1),
    }
    assert device.log[-1] == ("out", 0, 2, 0x6463)


def test_strings_to_nobody_and_to_a_narrow_device() -> None:
    bus = PortBus()
    device = Recorder()
    bus.attach(device, 0x300)
    assert bus.inp_block(0x100, 4, 2) == b"\xff" * 8
    assert bus.inp_block(0x300, 2, 2) == b"\x01\x02" * 2
    bus.outp_block(0x300, 2, b"AB")
    assert device.log[-2:] == [("out", 0, 1, 0x41), ("out", 1, 1, 0x42)]


def test_a_block_of_which_one_port_has_an_owner_reaches_it() -> None:
    bus = PortBus()
    device = Recorder()
    bus.attach(device, 0x300)
    assert bus.inp_block(0x2FF, 2, 2) == b"\xff\x01" * 2
    bus.outp_block(0x2FD, 4, b"abcd")
    assert device.log == [("in", 0, 1), ("in", 0, 1), ("out", 0, 1, ord("d"))]
    device.log.clear()
    assert bus.inp_block(0x2FE, 2, 2) == b"\xff" * 4
    bus.outp_block(0xFFFF, 4, b"abcd")  # ports end there
    assert device.log == []
    assert {(row.port, row.accesses) for row in bus.counts()} == {(0x2FF, 2), (0x2FD, 1), (0x2FE, 2), (0xFFFF, 1)}


def test_a_block_method_is_used_where_there_is_one() -> None:
    class Blocks(Recorder):
        def read_block(self, offset: int, size: int, count: int) -> bytes:
            self.log.append(("ins", offset, size, count))
            return bytes(size * count)

        def write_block(self, offset: int, size: int, data: bytes) -> None:
            self.log.append(("outs", offset, size, data))

    bus = PortBus()
    device = Blocks()
    bus.attach(device, 0x300)
    assert bus.inp_block(0x300, 1, 5) == bytes(5)
    bus.outp_block(0x301, 1, b"xyz")
    assert device.log == [("ins", 0, 1, 5), ("outs", 1, 1, b"xyz")]


def test_observers_see_values_and_a_failing_one_is_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    bus = PortBus()
    seen: list[PortAccess] = []

    def fails(access: PortAccess) -> None:
        raise ValueError("no")

    bus.observe(fails)
    bus.observe(seen.append)
    bus.outp(0x80, 1, 0x55)
    bus.inp(0x81, 2)
    assert [(a.direction, a.port, a.size, a.count, a.value) for a in seen] == [
        (Direction.OUT, 0x80, 1, 1, 0x55),
        (Direction.IN, 0x81, 2, 1, 0xFFFF),
    ]
    assert capsys.readouterr().err.count("dropped") == 1


def test_device_memory_is_accessed_from_python() -> None:
    class Card(Recorder):
        memory_span = 4096

        def memory_read(self, offset: int, size: int) -> int:
            return self.read(offset, size)

        def memory_write(self, offset: int, size: int, value: int) -> None:
            self.write(offset, size, value)

    bus, card = PortBus(), Card()
    window = bus.attach_memory(GuestMemory(1 << 20).map, card, 0xD0000)
    assert [bus.load(0xD0000 + size, size) for size in (1, 2, 4)] == [2, 0x0403, 0x08070605]
    bus.store(0xD0FFC, 4, 0x12345678)
    bus.store(0xD0FFE, 2, 0x12345678)
    assert card.log[3:] == [("out", 0xFFC, 4, 0x12345678), ("out", 0xFFE, 2, 0x5678)]
    assert bus.load(0xD1000, 2) == 0xFFFF
    window.unmap()
    bus.store(0xD0000, 4, 1)
    assert bus.load(0xD0000, 4) == 0xFFFFFFFF
    assert len(card.log) == 5
    assert sum(count.accesses for count in bus.counts()) == 5
    for address, size in ((0xD0000, 3), (0xD0001, 2), (0xD0002, 4)):
        with pytest.raises(AccessError, match="aligned"):
            bus.load(address, size)


def test_accesses_that_no_instruction_can_make() -> None:
    bus = PortBus()
    for port, size in ((0x10000, 1), (0, 3), (0, 8)):
        with pytest.raises(AccessError):
            bus.inp(port, size)
    with pytest.raises(AccessError):
        bus.outp_block(0, 2, b"abc")


@given(st.integers(0, 0xFFFF), st.sampled_from((1, 2, 4)), st.integers(0, 0xFFFFFFFF))
def test_every_port_can_be_accessed_and_is_counted_where_it_was(port: int, size: int, value: int) -> None:
    bus = PortBus()
    bus.outp(port, size, value)
    assert bus.inp(port, size) == (1 << 8 * size) - 1
    assert [(c.port, c.size, c.direction, c.accesses) for c in bus.counts()] == [
        (port, size, Direction.IN, 1),
        (port, size, Direction.OUT, 1),
    ]
