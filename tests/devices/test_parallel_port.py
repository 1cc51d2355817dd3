# SPDX-License-Identifier: GPL-2.0-or-later
"""The parallel port: bytes are taken at the strobe, and the printer answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperport.devices.parallel_port import ParallelPort
from hyperport.devices.pic8259 import Pic8259
from hyperport.host.char import CallbackBackend, MemoryBackend
from hyperport.lines.attention import Attention
from hyperport.lines.irq import IrqLine

DATA, STATUS, CONTROL = range(3)
STROBE = 0x01


class Rig:
    def __init__(self) -> None:
        self.paper = MemoryBackend()
        self.irq = IrqLine()
        self.port = ParallelPort(self.irq, self.paper)

    def send(self, byte: int, control: int = 0x0C) -> None:
        self.port.write(DATA, 1, byte)
        self.port.write(CONTROL, 1, control | STROBE)
        self.port.write(CONTROL, 1, control)

    def printed(self) -> bytes:
        self.paper.drain()
        return self.paper.output()


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_an_idle_printer_is_ready(rig: Rig) -> None:
    assert rig.port.read(STATUS) == 0xDF
    assert rig.port.read(CONTROL) == 0xE0


@given(st.binary(max_size=50))
def test_every_byte_is_printed_once(data: bytes) -> None:
    rig = Rig()
    for byte in data:
        rig.send(byte)
    assert rig.printed() == data


def test_only_the_edge_of_the_strobe_takes_a_byte(rig: Rig) -> None:
    rig.port.write(DATA, 1, 0x41)
    rig.port.write(CONTROL, 1, STROBE)
    rig.port.write(DATA, 1, 0x42)
    rig.port.write(CONTROL, 1, STROBE | 0x04)
    rig.port.write(CONTROL, 1, 0)
    assert rig.printed() == b"A"


def test_busy_while_the_strobe_is_low(rig: Rig) -> None:
    rig.port.write(CONTROL, 1, STROBE)
    assert rig.port.read(STATUS) == 0x5F
    rig.port.write(CONTROL, 1, 0)
    assert rig.port.read(STATUS) == 0xDF


def test_registers_read_back_as_a_driver_probes_them(rig: Rig) -> None:
    for value in (0x55, 0xAA):
        rig.port.write(DATA, 1, value)
        assert rig.port.read(DATA) == value
    rig.port.write(CONTROL, 1, 0x3C)  # with the direction bit, which this port does not have
    assert rig.port.read(CONTROL) == 0xFC
    rig.port.write(STATUS, 1, 0)
    assert rig.port.read(STATUS) == 0xDF


@pytest.mark.parametrize(("control", "edges"), [(0x0C, 0), (0x1C, 5)])
def test_an_acknowledge_is_an_edge_of_the_line_if_it_is_let_through(control: int, edges: int) -> None:
    pic = Pic8259(Attention())
    pins = pic.pins()
    for offset, value in ((0, 0x11), (1, 0x20), (1, 4), (1, 1), (1, 0)):  # vectors from 20h on, nothing masked
        pic.write(offset, 1, value)
    lpt = ParallelPort(IrqLine(pic, 7))
    vectors = []
    for _ in range(5):
        lpt.write(CONTROL, 1, control | STROBE)
        assert not pins.pending()
        lpt.write(CONTROL, 1, control)
        if pins.pending():
            vectors.append(pins.take_vector())
            pic.write(0, 1, 0x20)
    assert vectors == [0x27] * edges


def test_a_callback_gets_what_is_printed() -> None:
    got: list[bytes] = []
    port = ParallelPort(backend=CallbackBackend(got.append))
    for byte in b"one\ntwo\n":
        port.write(DATA, 1, byte)
        port.write(CONTROL, 1, STROBE)
        port.write(CONTROL, 1, 0)
    assert got == [b"one\n", b"two\n"]
