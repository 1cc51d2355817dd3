# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperport.devices.uart16550 import Uart16550
from hyperport.errors import StateError
from hyperport.host.char import MemoryBackend
from hyperport.lines.attention import Attention, StopKind, StopPin
from hyperport.lines.irq import IrqLine

DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR = range(8)
FCR = IIR
OUT2 = 0x08
LOOP = 0x10


class Rig:
    """A UART, its far end, and a probe on its interrupt line that remembers rising edges."""

    def __init__(self) -> None:
        self.attention = Attention()
        self.irq = IrqLine(StopPin(self.attention), StopKind.RESET)
        self.far = MemoryBackend()
        self.uart = Uart16550(self.irq, self.far)

    def __call__(self, offset: int) -> int:
        return self.uart.read(offset)

    def out(self, offset: int, value: int) -> None:
        self.uart.write(offset, 1, value)

    def type(self, data: bytes) -> None:
        assert self.far.feed(data) == len(data)
        self.uart.receive()

    def sent(self) -> bytes:
        """What has reached the far end since the last question."""
        self.far.drain()
        sent = self.far.output()
        self.far.clear()
        return sent

    def rose(self) -> bool:
        """Whether the line has risen since the last question."""
        return bool(self.attention.take_stop()[0] == StopKind.RESET)


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_power_on_registers(rig: Rig) -> None:
    assert [rig(offset) for offset in range(8)] == [0, 0, 0x01, 0x03, 0, 0x60, 0xB0, 0]
    assert rig.irq.level == 0


@pytest.mark.parametrize(("length", "mask"), [(0, 0x1F), (1, 0x3F), (2, 0x7F), (3, 0xFF)])
@pytest.mark.parametrize("others", [0x00, 0x1C, 0x3C])  # stop bits, even parity, stick parity
def test_a_character_has_as_many_bits_as_lcr_says(rig: Rig, length: int, mask: int, others: int) -> None:
    rig.out(LCR, length | others)
    rig.out(DATA, 0xA5)
    rig.uart.write_block(DATA, 1, b"\xff\x80\x5a")
    assert rig.sent() == bytes(byte & mask for byte in b"\xa5\xff\x80\x5a")
    rig.type(b"\xdb")
    assert (rig(DATA), rig(LSR)) == (0xDB & mask, 0x60)
    rig.out(FCR, 0x01)
    rig.out(MCR, LOOP)
    for byte in (0xFF, 0xC3):
        rig.out(DATA, byte)
    assert [rig(DATA), rig(DATA)] == [mask, 0xC3 & mask]


def test_a_break_keeps_what_is_written_from_the_wire(rig: Rig) -> None:
    rig.out(LCR, 0x43)
    rig.out(IER, 0x02)
    assert rig(IIR) == 0x02
    rig.out(DATA, 0x55)
    assert (rig.sent(), rig(LSR), rig(IIR)) == (b"", 0x60, 0x02)
    rig.out(MCR, LOOP)
    rig.out(DATA, 0x56)
    assert rig(DATA) == 0x56
    rig.out(MCR, 0)
    rig.out(LCR, 0x03)
    rig.out(DATA, 0x57)
    assert rig.sent() == b"\x57"


def test_a_divisor_of_0_is_kept_and_harmless(rig: Rig) -> None:
    rig.out(LCR, 0x83)
    rig.out(DATA, 0)
    rig.out(IER, 0)
    rig.out(LCR, 0x03)
    rig.out(DATA, 0x41)
    assert rig.sent() == b"A"


def test_divisor_latch_hides_data_and_ier(rig: Rig) -> None:
    rig.out(IER, 0x05)
    rig.out(LCR, 0x83)
    rig.out(DATA, 0x01)
    rig.out(IER, 0xC2)
    assert (rig(DATA), rig(IER)) == (0x01, 0xC2)
    rig.out(LCR, 0x03)
    assert rig(IER) == 0x05
    rig.far.drain()
    assert rig.far.output() == b""


def test_unused_bits_read_zero(rig: Rig) -> None:
    rig.out(IER, 0xFF)
    rig.out(MCR, 0xFF)
    rig.out(SCR, 0xFF)
    assert (rig(IER), rig(MCR), rig(SCR)) == (0x0F, 0x1F, 0xFF)


def test_transmit_bytes_and_blocks(rig: Rig) -> None:
    rig.out(DATA, ord("a"))
    rig.uart.write_block(DATA, 1, b"bc\n")
    rig.far.drain()
    assert rig.far.output() == b"abc\n"
    assert rig(LSR) == 0x60


def test_block_to_the_divisor_latch_is_not_sent(rig: Rig) -> None:
    rig.out(LCR, 0x80)
    rig.uart.write_block(DATA, 1, b"xyz\n")
    assert rig(DATA) == ord("\n")
    rig.far.drain()
    assert rig.far.output() == b""


def test_wide_elements_send_their_low_byte(rig: Rig) -> None:
    rig.uart.write_block(DATA, 2, b"a\0b\0")
    rig.far.drain()
    assert rig.far.output() == b"ab"


def test_thre_interrupt_on_enable_and_after_each_write(rig: Rig) -> None:
    rig.out(MCR, OUT2)
    rig.out(IER, 0x02)
    assert rig.rose()
    assert rig(IIR) == 0x02
    assert (rig.irq.level, rig(IIR)) == (0, 0x01)
    rig.out(IER, 0x02)
    assert not rig.rose(), "still enabled, so nothing new"
    rig.out(DATA, 0x41)
    assert rig.rose()
    rig.out(DATA, 0x42)
    assert rig.rose(), "a write ends the interrupt before the next one begins"
    rig.out(IER, 0x00)
    assert rig.irq.level == 0
    rig.out(IER, 0x02)
    assert rig.rose()


def test_reading_iir_for_another_cause_keeps_thre(rig: Rig) -> None:
    rig.out(MCR, OUT2)
    rig.out(IER, 0x03)
    rig.type(b"x")
    assert rig(IIR) == 0x04
    assert rig(DATA) == ord("x")
    assert rig(IIR) == 0x02
    assert rig(IIR) == 0x01


def test_receive_without_fifo_one_byte_at_a_time(rig: Rig) -> None:
    rig.out(MCR, OUT2)
    rig.out(IER, 0x01)
    rig.type(b"xyz")
    for byte in b"xyz":
        assert rig.rose(), "each byte has its edge"
        assert rig(LSR) == 0x61
        assert rig(IIR) == 0x04
        assert rig(DATA) == byte
    assert (rig(LSR), rig.irq.level) == (0x60, 0)
    assert rig(DATA) == ord("z"), "an empty receiver still holds the last byte"


@pytest.mark.parametrize(("bits", "trigger"), [(0x00, 1), (0x40, 4), (0x80, 8), (0xC0, 14)])
def test_trigger_levels(rig: Rig, bits: int, trigger: int) -> None:
    rig.out(FCR, 0x01 | bits)
    rig.out(IER, 0x01)
    rig.type(b"." * (trigger - 1))
    assert rig(IIR) == (0xC1 if trigger == 1 else 0xCC)
    rig.type(b".")
    assert rig(IIR) == 0xC4
    rig(DATA)
    assert rig(IIR) == (0xC1 if trigger == 1 else 0xCC)


def test_timeout_interrupt_has_an_edge_for_each_read(rig: Rig) -> None:
    rig.out(MCR, OUT2)
    rig.out(FCR, 0xC1)
    rig.out(IER, 0x01)
    rig.type(b"ab")
    assert rig.rose()
    assert rig(DATA) == ord("a")
    assert rig.rose(), "a handler that reads one byte is called again"
    assert rig(DATA) == ord("b")
    assert not rig.rose()
    assert rig.irq.level == 0


@given(data=st.binary(max_size=200), fifo=st.booleans())
def test_no_byte_from_the_host_is_lost(data: bytes, fifo: bool) -> None:
    rig = Rig()
    rig.out(FCR, fifo)
    rig.type(data)
    got = bytearray()
    while rig(LSR) & 1:
        got.append(rig(DATA))
    assert bytes(got) == data
    assert not rig(LSR) & 2


def test_bytes_wait_in_the_backend_until_there_is_room(rig: Rig) -> None:
    rig.out(FCR, 0x01)
    rig.type(bytes(range(40)))
    assert rig.uart.save()["received"] == list(range(16))
    assert rig(DATA) == 0
    assert rig.uart.save()["received"] == list(range(1, 17))


def test_enabling_and_disabling_fifos_clears_them(rig: Rig) -> None:
    rig.type(b"a")
    rig.out(FCR, 0x01)
    assert rig(LSR) == 0x60
    rig.type(b"bc")
    rig.out(FCR, 0x01)
    assert rig(DATA) == ord("b"), "already enabled: kept"
    rig.out(FCR, 0x03)
    assert rig(LSR) == 0x60
    rig.type(b"d")
    rig.out(FCR, 0x00)
    assert (rig(LSR), rig(IIR)) == (0x60, 0x01)


def test_fcr_bits_count_only_with_enable(rig: Rig) -> None:
    rig.type(b"a")
    rig.out(FCR, 0xC2)
    assert rig(LSR) == 0x61
    assert rig(IIR) == 0x01
    assert rig.uart.save()["fcr"] == 0


def test_loopback_of_the_modem_lines(rig: Rig) -> None:
    rig.out(MCR, LOOP)
    rig(MSR)
    for mcr, msr in ((0x01, 0x20), (0x02, 0x10), (0x04, 0x40), (0x08, 0x80), (0x0A, 0x90)):
        rig.out(MCR, LOOP | mcr)
        assert rig(MSR) & 0xF0 == msr
    rig.out(MCR, 0)
    assert rig(MSR) & 0xF0 == 0xB0


def test_modem_deltas_are_cleared_by_reading(rig: Rig) -> None:
    rig.out(MCR, LOOP)
    assert rig(MSR) == 0x0B, "CTS, DSR and DCD fell"
    assert rig(MSR) == 0x00
    rig.out(MCR, LOOP | 0x04)
    assert rig(MSR) == 0x40, "a rising RI is no event"
    rig.out(MCR, LOOP)
    assert rig(MSR) == 0x04, "a falling RI is"


def test_modem_interrupt_has_the_lowest_priority(rig: Rig) -> None:
    rig.out(IER, 0x0A)
    rig.out(MCR, LOOP)
    rig.out(MCR, OUT2)
    assert rig(IIR) == 0x02
    assert rig(IIR) == 0x00
    assert rig.irq.level == 1
    rig(MSR)
    assert (rig(IIR), rig.irq.level) == (0x01, 0)


def test_loopback_fifo_holds_16_and_overruns(rig: Rig) -> None:
    rig.out(FCR, 0x01)
    rig.out(MCR, LOOP)
    rig.out(IER, 0x04)
    for byte in range(16):
        rig.out(DATA, byte)
    assert rig(LSR) == 0x61
    rig.out(DATA, 99)
    assert rig(IIR) == 0xC6
    assert rig(LSR) == 0x63
    assert rig(LSR) == 0x61, "overrun is cleared by reading"
    assert [rig(DATA) for _ in range(16)] == list(range(16))
    assert rig(LSR) == 0x60
    rig.far.drain()
    assert rig.far.output() == b""


def test_loopback_without_fifo_keeps_the_newer_byte(rig: Rig) -> None:
    rig.out(MCR, LOOP)
    rig.uart.write_block(DATA, 1, b"ab")
    assert rig(LSR) == 0x63
    assert rig(DATA) == ord("b")


def test_cable_is_off_in_loopback(rig: Rig) -> None:
    rig.out(MCR, LOOP)
    rig.type(b"x")
    assert rig(LSR) == 0x60
    rig.out(MCR, 0)
    assert rig(DATA) == ord("x")


def test_out2_gates_the_line(rig: Rig) -> None:
    rig.out(IER, 0x02)
    assert rig.irq.level == 0
    rig.out(MCR, OUT2)
    assert rig.irq.level == 1
    rig.out(MCR, OUT2 | LOOP)
    assert rig.irq.level == 0


def test_state_moves_with_line_and_fifo() -> None:
    rig, other = Rig(), Rig()
    rig.out(MCR, OUT2)
    rig.out(FCR, 0x81)
    rig.out(IER, 0x01)
    rig.type(b"hello")
    rig(DATA)
    other.uart.load(rig.uart.save())
    assert other.irq.level == 1
    assert other(IIR) == 0xCC
    assert bytes(other(DATA) for _ in range(4)) == b"ello"


@pytest.mark.parametrize(
    "change",
    [{"received": [1, 2]}, {"fcr": 0x40}, {"fcr": 0x03}, {"mcr": 0x20}, {"received": [256]}],
)
def test_impossible_records_are_refused(rig: Rig, change: dict[str, object]) -> None:
    with pytest.raises(StateError):
        rig.uart.load(rig.uart.save() | change)


def test_reset_takes_up_waiting_input(rig: Rig) -> None:
    rig.far.feed(b"q")
    rig.uart.reset()
    assert rig(DATA) == ord("q")
