# SPDX-License-Identifier: GPL-2.0-or-later
"""A serial port of the host behind a UART; a pty stands for the port, but for modem wires, which a pty has not."""

from __future__ import annotations

import array
import fcntl
import os
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hyperport import Machine
from hyperport.cli.main import main
from hyperport.cpu.state import real_mode
from hyperport.devices.uart16550 import Uart16550
from hyperport.errors import ConfigError
from hyperport.host.char import CharBackend
from hyperport.host.specs import SerialSpec, parse_serial
from hyperport.host.tty import TtyBackend
from hyperport.host.tty_channel import TtyChannel
from hyperport.lines.attention import Attention
from hyperport.lines.irq import IrqLine
from hyperport.time.clock import VirtualClock
from hyperport.ui.console import open_channel

DATA, IER, IIR, LCR, MCR, MSR = 0, 1, 2, 3, 4, 6
DLAB = 0x80
TCGETS2 = 0x802C542A
CFLAG, ISPEED, OSPEED = 2, 4, 5  # of tcgetattr()


@pytest.fixture
def pty() -> Iterator[tuple[int, str]]:
    master, slave = os.openpty()
    name = os.ttyname(slave)
    yield master, name
    os.close(slave)
    os.close(master)


@pytest.fixture
def channel(pty: tuple[int, str]) -> Iterator[TtyChannel]:
    with TtyChannel(pty[1]) as made:
        yield made


def set_line(uart: Uart16550, divisor: int, lcr: int) -> None:
    uart.write(LCR, 1, DLAB)
    uart.write(DATA, 1, divisor & 0xFF)
    uart.write(IER, 1, divisor >> 8)
    uart.write(LCR, 1, lcr)


def speed(fd: int) -> int:
    """What termios2 says of output, in baud."""
    mode = array.array("I", [0] * 11)  # 4 flags, 20 bytes of line discipline and characters, 2 speeds
    fcntl.ioctl(fd, TCGETS2, mode, True)
    return mode[10]


@pytest.mark.parametrize(
    ("divisor", "baud"),
    [(1, 115200), (2, 57600), (12, 9600), (96, 1200), (1047, 110), (3, 38400), (7, 16457), (0xFFFF, 1)],
)
def test_the_speed_follows_the_divisor(channel: TtyChannel, divisor: int, baud: int) -> None:
    set_line(Uart16550(backend=channel.backend), divisor, 3)
    assert speed(channel.fd) == baud
    assert isinstance(channel.backend, TtyBackend)
    assert channel.backend.speed == baud


def test_a_divisor_of_0_leaves_the_speed(channel: TtyChannel) -> None:
    uart = Uart16550(backend=channel.backend)
    set_line(uart, 3, 3)
    set_line(uart, 0, 3)
    assert speed(channel.fd) == 38400


@pytest.mark.parametrize(
    ("lcr", "flags"),
    [
        (0x03, termios.CS8),
        (0x02, termios.CS7),
        (0x01, termios.CS6),
        (0x00, termios.CS5),
        (0x07, termios.CS8 | termios.CSTOPB),
        (0x1B, termios.CS8 | termios.PARENB),
        (0x0B, termios.CS8 | termios.PARENB | termios.PARODD),
        (0x2B, termios.CS8 | termios.PARENB | termios.PARODD | 0x40000000),  # CMSPAR: mark
        (0x3B, termios.CS8 | termios.PARENB | 0x40000000),  # space
        (0x12, termios.CS7),  # even, but no parity
    ],
)
def test_the_character_follows_lcr(channel: TtyChannel, lcr: int, flags: int) -> None:
    """A pty keeps no parity and is always 8 bits, so what we ask for is looked at in the backend."""
    set_line(Uart16550(backend=channel.backend), 12, lcr)
    assert channel.backend.line_control == lcr
    mask = termios.CSIZE | termios.CSTOPB | termios.PARENB | termios.PARODD | 0x40000000
    assert TtyBackend.flags_of(lcr) == flags
    assert termios.tcgetattr(channel.fd)[CFLAG] & mask & ~(termios.CSIZE | termios.PARENB) == flags & ~(
        termios.CSIZE | termios.PARENB
    )


def test_nothing_is_set_before_the_driver_has_both_halves_of_the_divisor(channel: TtyChannel) -> None:
    uart = Uart16550(backend=channel.backend)
    set_line(uart, 1, 3)
    uart.write(LCR, 1, DLAB | 3)
    uart.write(DATA, 1, 0x80)
    assert speed(channel.fd) == 115200


def test_the_port_is_given_back_as_it_was_found(pty: tuple[int, str]) -> None:
    fd = os.open(pty[1], os.O_RDWR | os.O_NOCTTY)
    before = termios.tcgetattr(fd)
    with TtyChannel(pty[1]) as channel:
        set_line(Uart16550(backend=channel.backend), 96, 3)
        assert termios.tcgetattr(fd) != before
    assert termios.tcgetattr(fd) == before
    os.close(fd)


def test_a_guest_talks_through_it(pty: tuple[int, str]) -> None:
    """Echoes one byte, plus one, at 38,400 baud: a whole machine, input and output."""
    code = bytes.fromhex(
        "bafb03b080ee baf803b003ee bafb03b003ee"  # DLAB; DLL = 3; 8N1
        "bafd03 ec a801 74fb"  # again: in al, LSR; test al, 1; jz again
        "baf803 ec 40 ee b000e6f4f4"  # in al, RBR; inc ax; out THR; exit
    )
    with TtyChannel(pty[1]) as channel:
        with Machine(memory=1 << 20, engine="unicorn", serial=channel.backend) as machine:
            machine.memory.write(0x7C00, code)
            machine.engine.set_state(real_mode(cs=0, ip=0x7C00))
            channel.start(machine.events, lambda kind: None)
            os.write(pty[0], b"A")
            assert machine.run(timeout=20).kind == "guest-exit"
            channel.stop()
        assert os.read(pty[0], 10) == b"B"
        assert speed(channel.fd) == 38400


def test_a_break_ends_and_bytes_come_raw(pty: tuple[int, str], channel: TtyChannel) -> None:
    uart = Uart16550(backend=channel.backend)
    uart.write(LCR, 1, 0x43)
    uart.write(LCR, 1, 0x03)
    for byte in b"\n\r\x03\xff":
        uart.write(DATA, 1, byte)
    channel.backend.drain()
    heard = b""
    while len(heard) < 4:
        heard += os.read(pty[0], 10)
    assert heard == b"\n\r\x03\xff"


def test_a_port_that_hangs_up_ends_the_run(pty: tuple[int, str]) -> None:
    master, slave = os.openpty()
    with TtyChannel(os.ttyname(slave)) as channel:
        os.close(slave)
        stops: list[object] = []
        with Machine(memory=1 << 20, engine="unicorn", serial=channel.backend) as machine:
            machine.memory.write(0x7C00, b"\xeb\xfe")
            machine.engine.set_state(real_mode(cs=0, ip=0x7C00))

            def stop(kind: object) -> None:
                stops.append(kind)
                machine.request_stop(kind)  # type: ignore[arg-type]

            channel.start(machine.events, stop)
            os.close(master)
            assert machine.run(timeout=20).kind == "quit"
            channel.stop()
        assert len(stops) == 1


def test_what_is_no_serial_port_is_refused_in_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    for path, said in ((tmp_path / "file", "this is no serial port"), (tmp_path / "none", "No such file")):
        with pytest.raises(ConfigError, match=said) as caught:
            open_channel(SerialSpec("tty", path))
        assert "\n" not in str(caught.value)
    assert main(["run", "demo", "--serial", f"tty:{tmp_path}/none"]) == 78
    assert capfd.readouterr().err.count("\n") == 1
    assert parse_serial("tty:/dev/ttyS0") == SerialSpec("tty", "/dev/ttyS0")


# Modem wires, of any backend.


def uart_with_wires() -> tuple[Uart16550, CharBackend, VirtualClock]:
    backend, clock = CharBackend(), VirtualClock()
    backend.connect(Attention(), clock)
    return Uart16550(IrqLine(), backend), backend, clock


def test_a_cable_whose_end_is_always_there() -> None:
    uart, _, _ = uart_with_wires()
    assert uart.read(MSR) == 0xB0


def test_the_hosts_end_drives_the_modem_inputs() -> None:
    uart, backend, _ = uart_with_wires()
    uart.write(IER, 1, 8)
    backend.set_wires(0x30)  # DCD falls
    uart.receive()
    assert uart.read(IIR) == 0  # a change of the modem lines
    assert uart.read(MSR) == 0x38
    assert uart.read(IIR) == 1
    backend.set_wires(0x70)  # RI comes: that is no event
    uart.receive()
    assert uart.read(IIR) == 1
    backend.set_wires(0x30)  # RI goes: TERI
    assert uart.read(MSR) == 0x34
    backend.set_wires(None)
    assert uart.read(MSR) == 0xB8


def test_in_loopback_the_wires_are_off_both_ways() -> None:
    uart, backend, _ = uart_with_wires()
    uart.write(MCR, 1, 0x03)
    assert backend.modem_control == 3
    backend.set_wires(0)
    uart.write(MCR, 1, 0x13)
    assert backend.modem_control == 0
    assert uart.read(MSR) & 0xF0 == 0x30
    uart.write(MCR, 1, 0x03)
    assert (backend.modem_control, uart.read(MSR) & 0xF0) == (3, 0)


def test_the_backend_is_told_again_after_a_load() -> None:
    uart, _, _ = uart_with_wires()
    set_line(uart, 1, 0x1B)
    uart.write(MCR, 1, 3)
    other, backend, _ = uart_with_wires()
    other.load(uart.save())
    assert (backend.divisor, backend.line_control, backend.modem_control) == (1, 0x1B, 3)


def test_a_pty_has_no_modem_wires(channel: TtyChannel) -> None:
    assert isinstance(channel.backend, TtyBackend)
    assert not channel.backend.modem
    assert Uart16550(backend=channel.backend).read(MSR) == 0xB0


def test_a_driver_that_still_sends_is_waited_for_and_not_for_ever(channel: TtyChannel) -> None:
    uart = Uart16550(backend=channel.backend)
    for _ in range(2000):
        uart.write(DATA, 1, 0x55)
    began = time.monotonic()
    set_line(uart, 96, 3)
    assert time.monotonic() - began < 60
    assert speed(channel.fd) == 1200
