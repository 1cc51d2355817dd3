# SPDX-License-Identifier: GPL-2.0-or-later
"""Ports of the host, on a port file that stands for them; a parallel port by ppdev's calls, which a fake answers."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import pytest

from hyperport import Machine
from hyperport.cli.main import main
from hyperport.cpu.state import real_mode
from hyperport.devices import host_parport, host_ports
from hyperport.devices.host_parport import HostParport
from hyperport.errors import ConfigError, HostError, StateError, UsageError
from hyperport.host.specs import PassthroughSpec, parse_passthrough
from hyperport.machine import passthrough
from hyperport.machine.passthrough import RealPorts
from hyperport.observe.filter import compile_filter
from hyperport.observe.trace import Trace
from hyperport.observe.trace_file import TraceFile

FIRST, LAST = 0x278, 0x27F


@pytest.fixture
def ports(tmp_path: Path) -> Path:
    """A file that has a byte for each port, its number's low half."""
    path = tmp_path / "port"
    path.write_bytes(bytes(port & 0xFF for port in range(0x10000)))
    return path


def machine(ports: Path, **more: Any) -> Machine:
    return Machine(memory=1 << 20, engine="unicorn", passthrough=f"{FIRST:#x}-{LAST:#x},via={ports}", **more)


def run(made: Machine, code: bytes) -> None:
    """Real-mode code, until it exits by the debug exit."""
    made.memory.write(0x7C00, code + b"\xb0\x00\xe6\xf4\xf4")
    made.engine.set_state(real_mode(cs=0, ip=0x7C00))
    assert made.run(timeout=20).kind == "guest-exit"


def test_the_guest_reads_and_writes_the_hosts_ports(ports: Path) -> None:
    with machine(ports) as made:
        run(made, b"\xba\x79\x02\xec\x40\x42\xee")  # mov dx, 279h; in al, dx; inc ax; inc dx; out dx, al
        assert made.bus.owner(FIRST) == made.bus.owner(LAST) == "host-ports"
        assert made.bus.owner(LAST + 1) is None
    now = ports.read_bytes()
    assert now[0x27A] == 0x7A
    assert now[:0x27A] + now[0x27B:] == bytes(p & 0xFF for p in range(0x10000) if p != 0x27A)


def test_wide_accesses_are_split_at_a_port_file_and_never_leave_the_range(ports: Path) -> None:
    with machine(ports) as made:
        assert made.bus.inp(LAST - 1, 2) == 0x7F7E
        assert made.bus.inp(LAST, 4) == 0xFFFFFF7F
        made.bus.outp(LAST, 4, 0x11223344)
        assert made.bus.inp_block(FIRST, 1, 3) == b"\x78" * 3
    assert ports.read_bytes()[LAST : LAST + 4] == b"\x44\x80\x81\x82"


def test_it_is_counted_traced_and_filtered_like_any_device(ports: Path, tmp_path: Path) -> None:
    with machine(ports) as made:
        trace = Trace(made, tmp_path / "t.hpt", compile_filter("device host-ports", made.bus.map()))
        run(made, b"\xba\x78\x02\xec\xec\xe6\x80")
        trace.close()
        (row,) = [row for row in made.bus.counts() if row.device == "host-ports"]
        assert (row.port, row.accesses, row.crossings) == (0x278, 2, 2)
    with TraceFile(tmp_path / "t.hpt") as read:
        assert [(access.port, access.value, read.device_of(access)) for access in read.accesses()] == [
            (0x278, 0x78, "host-ports")
        ] * 2


def test_a_port_file_that_ends_ends_the_run(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"")
    told = "No such device or address: the host's ports cannot be used any more"
    with machine(tmp_path / "short") as made, pytest.raises(HostError, match=told):
        run(made, b"\xba\x78\x02\xec")


def test_such_a_machine_cannot_be_saved(ports: Path, tmp_path: Path) -> None:
    with machine(ports) as made, pytest.raises(StateError, match="ports of the host"):
        made.save(tmp_path / "s")


def test_without_the_right_it_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(passthrough, "may_use", lambda first, span: 1)  # EPERM
    monkeypatch.setattr(passthrough, "PORT_FILE", tmp_path / "none")
    assert main(["run", "demo", "--passthrough", "0x278-0x27f"]) == 78
    err = capfd.readouterr().err
    assert "passthrough 0x278-0x27f: this process may not use the host's ports: ioperm: Operation not permitted" in err
    assert err.count("\n") == 1


def test_the_port_file_is_taken_where_ioperm_is_not_there(monkeypatch: pytest.MonkeyPatch, ports: Path) -> None:
    monkeypatch.setattr(passthrough, "may_use", lambda first, span: 38)  # ENOSYS
    monkeypatch.setattr(passthrough, "PORT_FILE", ports)
    with Machine(memory=1 << 20, engine="unicorn", passthrough="0x278") as made:
        assert made.bus.inp(0x278) == 0x78


@pytest.mark.skipif(host_ports.may_use(0x80, 1) != 0, reason="ioperm(2) is not allowed here")
def test_ioperm() -> None:
    with Machine(memory=1 << 20, engine="unicorn", passthrough="0xed0-0xed7") as made:
        made.bus.inp(0xED0, 4)
        assert not made.attention.stop_pending(), "the host let us"
        (row,) = [row for row in made.bus.counts() if row.device == "host-ports"]
        assert (row.port, row.size, row.accesses) == (0xED0, 4, 1)


def test_ports_that_a_chip_has_are_refused(ports: Path) -> None:
    with pytest.raises(ConfigError, match="port 0x3f8 belongs to uart16550"):
        Machine(memory=1 << 20, passthrough=f"0x3f8-0x3ff,via={ports}")


# Interrupts.

COUNTS = bytes.fromhex(
    "fa31c0 8ed8 8ed0 bc007c"  # cli; ds = ss = 0; sp = 7c00h
    "c7063c00 307c c7063e00 0000"  # vector 0Fh -> 0:7c30h
    "b011e620 b008e621 b004e621 b001e621 b07fe621"  # PIC: vectors from 8, line 7 alone
    "fb f4 ebfd"  # sti; again: hlt; jmp again
)


def counting() -> bytes:
    return COUNTS.ljust(0x30, b"\x90") + bytes.fromhex("fe06007e b020e620 803e007e03 7402 cf cf b000e6f4f4")


def test_an_interrupt_of_the_host_is_an_edge_of_the_guests_line(ports: Path, tmp_path: Path) -> None:
    """A FIFO stands for UIO: a number of 4 bytes for each interrupt, and 1 is written where the next may come."""
    uio = tmp_path / "uio"
    os.mkfifo(uio)
    spec = f"{FIRST:#x},irq=7,uio={uio},via={ports}"
    with Machine(memory=1 << 20, engine="unicorn", passthrough=spec) as made:
        assert made.lines.owners[7] == "host-ports"
        made.memory.write(0x7C00, counting())
        made.engine.set_state(real_mode(cs=0, ip=0x7C00))
        # Each ENABLE that is written comes back through the FIFO as the next interrupt.
        assert made.run(timeout=20).kind == "guest-exit"
        assert made.memory.read(0x7E00, 1) == b"\x03"


class FakeParport:
    """What ppdev does, with the registers of one port. interrupts: how many PPCLRIRQ tells, each time."""

    def __init__(self) -> None:
        self.data, self.status, self.control, self.direction = 0, 0xDF, 0x0C, 0
        self.claimed = False
        self.interrupts = 0
        self.calls: list[int] = []

    def __call__(self, fd: int, code: int, value: bytearray) -> int:
        self.calls.append(code)
        assert len(value) == code >> 16 & 0x3FFF
        match code:
            case host_parport.PPCLAIM:
                self.claimed = True
            case host_parport.PPRELEASE:
                self.claimed = False
            case host_parport.PPRDATA:
                value[0] = self.data
            case host_parport.PPWDATA:
                self.data = value[0]
            case host_parport.PPRSTATUS:
                value[0] = self.status
            case host_parport.PPRCONTROL:
                value[0] = self.control
            case host_parport.PPWCONTROL:
                self.control = value[0]
            case host_parport.PPDATADIR:
                self.direction = int.from_bytes(value, "little")
            case host_parport.PPCLRIRQ:
                value[:] = struct.pack("<I", self.interrupts)
            case _:
                raise AssertionError(hex(code))
        return 0


def test_the_codes_are_ppdevs() -> None:
    """As <linux/ppdev.h> gives them on i386 and x86-64."""
    assert (host_parport.PPCLAIM, host_parport.PPRELEASE) == (0x708B, 0x708C)
    assert (host_parport.PPRSTATUS, host_parport.PPWDATA) == (0x80017081, 0x40017086)
    assert (host_parport.PPDATADIR, host_parport.PPCLRIRQ) == (0x40047090, 0x80047093)


@pytest.fixture
def node(tmp_path: Path) -> Path:
    path = tmp_path / "parport0"
    os.mkfifo(path)
    return path


def test_a_parallel_port_of_the_host(node: Path) -> None:
    fake = FakeParport()
    port = HostParport(node, fake)
    assert fake.claimed
    port.write(0, 1, 0x5A)
    assert (fake.data, port.read(0, 1)) == (0x5A, 0x5A)
    port.write(1, 1, 0xFF)
    assert port.read(1, 1) == 0xDF
    port.write(2, 1, 0x35)
    assert (fake.control, fake.direction, port.gate) == (0x05, 1, True)
    assert port.read(2, 1) == 0xF5
    port.write(2, 1, 0x04)
    assert (fake.control, fake.direction, port.gate) == (0x04, 0, False)
    assert fake.calls.count(host_parport.PPDATADIR) == 2
    port.close()
    port.close()
    assert not fake.claimed


def test_its_interrupt_comes_where_the_guest_lets_it_through(node: Path) -> None:
    fake = FakeParport()
    with Machine(memory=1 << 20, engine="unicorn") as made:
        real = RealPorts(made)
        real.add(parse_passthrough(str(node)), fake)
        assert made.bus.map().count((0x378, 0x37A, "host-parport")) == 1
        assert made.lines.owners[7] == "host-parport"
        made.bus.outp(0x37A, 1, 0x1C)
        fake.interrupts = 1
        made.memory.write(0x7C00, counting().replace(b"\x80\x3e\x00\x7e\x03", b"\x80\x3e\x00\x7e\x01"))
        made.engine.set_state(real_mode(cs=0, ip=0x7C00))
        with node.open("r+b", buffering=0) as far:
            far.write(b"!")  # readable, as ppdev's descriptor is after an interrupt
            assert made.run(timeout=20).kind == "guest-exit"
        real.close()
        assert not fake.claimed


def test_a_parallel_port_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="load ppdev"):
        Machine(memory=1 << 20, passthrough=f"{tmp_path}/parport9")


# The words.


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("0x378-0x37f", PassthroughSpec(first=0x378, last=0x37F)),
        ("640", PassthroughSpec(first=640, last=640)),
        ("0x378,irq=7,uio=/dev/uio0", PassthroughSpec(first=0x378, last=0x378, irq=7, uio="/dev/uio0")),
        ("0x378,via=p", PassthroughSpec(first=0x378, last=0x378, via="p")),
        ("/dev/parport0", PassthroughSpec(first=0x378, last=0x37A, irq=7, path="/dev/parport0")),
        ("/dev/parport1,base=0x278,irq=5", PassthroughSpec(first=0x278, last=0x27A, irq=5, path="/dev/parport1")),
    ],
)
def test_words(text: str, spec: PassthroughSpec) -> None:
    assert parse_passthrough(text) == spec


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "port '' is no number"),
        ("0x37f-0x378", "write ports like"),
        ("0x10000", "write ports like"),
        ("0x378,irq=7", "by UIO only"),
        ("0x378,uio=/dev/uio0", "by UIO only"),
        ("0x378,irq=16,uio=u", "outside 0 to 15"),
        ("0x378,base=3", "keep their numbers"),
        ("0x378,foo=3", "'foo=3': write irq="),
        ("0x378,via=a,via=b", "each once"),
        ("/dev/parport0,via=x", "takes base= and irq="),
        ("/dev/parport0,base=0xffff", "outside the ports"),
    ],
)
def test_words_that_make_no_sense(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        parse_passthrough(text)
    assert "\n" not in str(caught.value)


def test_a_machine_that_is_closed_or_not_made_leaves_nothing_open(ports: Path) -> None:
    with machine(ports):
        assert ports in opened()
    assert ports not in opened()
    with pytest.raises(ConfigError, match="belongs to uart16550"):
        Machine(memory=1 << 20, passthrough=[f"0x278,via={ports}", f"0x3f8,via={ports}"])
    assert ports not in opened()


def opened() -> list[Path]:
    """What this process has open."""
    return [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.exists()]
