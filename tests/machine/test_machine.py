# SPDX-License-Identifier: GPL-2.0-or-later
"""The board as it is built: who is where, and what is refused with one line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from hyperport import (
    ConfigError,
    Device,
    DeviceSpec,
    HyperportError,
    ImageError,
    Machine,
    MachineConfig,
    MemoryBackend,
    StopKind,
    VirtualClock,
)
from hyperport.devices.post_code import PostCode

from ..conftest import MIB, run_command


@pytest.fixture
def machine() -> Iterator[Machine]:
    with Machine(engine="scripted", memory=MIB, clock=VirtualClock()) as made:
        yield made


class Two(Device):
    """Two ports."""

    span = 2


def test_board_of_a_pc(machine: Machine) -> None:
    owners = {port: machine.bus.owner(port) for port in (0x20, 0xA1, 0x4D0, 0x43, 0x61, 0x60, 0x64, 0x71, 0x3FF, 0xCF9)}
    assert owners == {
        0x20: "pic8259",
        0xA1: "pic8259",
        0x4D0: "pic8259",
        0x43: "pit8254",
        0x61: "pit8254",
        0x60: "i8042",
        0x64: "i8042",
        0x71: "rtc146818",
        0x3FF: "uart16550",
        0xCF9: "pci-host",
    }
    assert machine.lines.owners.keys() == {0, 1, 2, 4, 6, 8, 12, 13, 14, 15}


def test_python_device_gets_its_wires(machine: Machine) -> None:
    device = machine.attach(Two(), 0x300, 5)
    assert (device.irq.number, device.memory.size, device.clock) == (5, MIB, machine.clock)
    assert device.timer.deadline > 0
    unwired = machine.attach(Two(), 0x310)
    unwired.irq.set(1)


@pytest.mark.parametrize("base", [0x3FF, 0x64, 0x1F])
def test_overlap(machine: Machine, base: int) -> None:
    with pytest.raises(ConfigError, match="two") as caught:
        machine.attach(Two(), base)
    assert "\n" not in str(caught.value)
    assert str(machine.bus.owner(0x3FF)) in str(caught.value) or base != 0x3FF


def test_beyond_the_last_port(machine: Machine) -> None:
    with pytest.raises(ConfigError):
        machine.attach(Two(), 0xFFFF)


@pytest.mark.parametrize(
    ("irq", "words"),
    [
        (4, "two: irq 4 belongs to uart16550; choose another"),
        (2, "two: irq 2 belongs to the second PIC"),
        (16, "two: irq 16 is outside 0 to 15"),
        (-1, "two: irq -1 is outside 0 to 15"),
    ],
)
def test_irq_that_cannot_be_had(machine: Machine, irq: int, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        machine.attach(Two(), 0x300, irq)


def test_irq_of_another_device(machine: Machine) -> None:
    machine.attach(Two(), 0x300, 5)
    with pytest.raises(ConfigError, match="irq 5 belongs to two"):
        machine.attach(Two(), 0x310, 5)


def test_compiled_chip_takes_its_line_when_it_is_made(machine: Machine) -> None:
    machine.attach(PostCode(), 0x300)
    with pytest.raises(ConfigError, match="post-code: a compiled chip"):
        machine.attach(PostCode(), 0x310, 5)


def test_object_that_is_no_device(machine: Machine) -> None:
    with pytest.raises(ConfigError, match=r"str is no port device: it has no read and no write\(\)"):
        machine.attach("device", 0x300)


def test_config_and_its_fields_at_once() -> None:
    with pytest.raises(ConfigError, match="not both: memory"):
        Machine(MachineConfig(), memory=MIB)


def test_unknown_engine() -> None:
    with pytest.raises(ConfigError, match="engine 'bochs' is unknown; choose from auto, kvm, scripted, unicorn"):
        Machine(engine="bochs")


def test_kernel_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="nothing"):
        Machine(kernel=tmp_path / "nothing")


@pytest.mark.parametrize(
    ("source", "options", "words"),
    [
        (None, {}, "no such file"),
        ("class Other: pass\n", {}, "it has no class Chip"),
        ("Chip = 1\n", {}, "it has no class Chip"),
        ("class Chip:\n    def\n", {}, "line 2: invalid syntax"),
        ("import nowhere_at_all\n", {}, "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("class Chip: pass\n", {}, "Chip is no port device"),
        ("class Chip: pass\n", {"n": "1"}, "cannot be made"),
        ("from hyperport import Device\nclass Chip(Device): span = 100_000\n", {}, "chip"),
    ],
)
def test_bad_device_file_is_one_line(tmp_path: Path, source: str | None, options: dict[str, str], words: str) -> None:
    path = tmp_path / "chip.py"
    if source is not None:
        path.write_text(source)
    with pytest.raises(ConfigError) as caught:
        Machine(
            engine="scripted",
            memory=MIB,
            devices=(DeviceSpec(path=path, class_name="Chip", base=0x300, options=options),),
        )
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_options_reach_the_device(tmp_path: Path) -> None:
    path = tmp_path / "chip.py"
    path.write_text(
        "from hyperport import Device\n"
        "class Chip(Device):\n"
        "    def __init__(self, value): self.value = int(value)\n"
        "    def read(self, offset, size): return self.value\n"
    )
    spec = DeviceSpec(path=path, class_name="Chip", base=0x300, options={"value": "0x1f".replace("0x1f", "31")})
    with Machine(engine="scripted", memory=MIB, devices=(spec,)) as machine:
        assert machine.bus.inp(0x300) == 31


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("demo", "--device", "/nowhere.py:Chip,base=0x300"), 78),
        (("demo", "--device", "docs/examples/doorbell.py:Doorbell,base=0x3f8"), 78),
        (("demo", "--device", "docs/examples/doorbell.py:Doorbell,base=0x300,irq=4"), 78),
        (("demo", "--engine", "bochs"), 78),
        (("demo", "--mem", "1K"), 78),
        (("--kernel", "/nowhere"), 66),
        (("--kernel", "docs/examples/doorbell.py"), 66),
    ],
)
def test_command_that_cannot_work_is_one_line(arguments: tuple[str, ...], status: int) -> None:
    done = run_command(*arguments)
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr.startswith("hyperport: ")
    assert done.stderr.count("\n") == 1


def test_every_error_of_ours_is_one_type() -> None:
    assert issubclass(ConfigError, HyperportError)


def test_four_serial_lines_share_two_interrupt_lines() -> None:
    backends = [MemoryBackend() for _ in range(4)]
    with Machine(engine="scripted", memory=MIB, clock=VirtualClock(), serial=backends) as machine:
        for number, base in enumerate((0x3F8, 0x2F8, 0x3E8, 0x2E8)):
            machine.bus.outp(base, 1, 0x41 + number)
        machine.flush_output()
        assert [backend.output() for backend in backends] == [b"A", b"B", b"C", b"D"]
        assert {line: machine.lines.owners[line] for line in (3, 4)} == {3: "uart16550", 4: "uart16550"}

        for port, value in ((0x20, 0x11), (0x21, 0x20), (0x21, 4), (0x21, 1), (0x21, 0)):
            machine.bus.outp(port, 1, value)
        for base in (0x3F8, 0x3E8):
            machine.bus.outp(base + 4, 1, 0x08)  # OUT2 opens the gate
            machine.bus.outp(base + 1, 1, 0x01)
        for backend, uart in ((backends[0], machine.board.uarts[0]), (backends[2], machine.board.uarts[2])):
            backend.feed(b"x")
            uart.receive()
        assert machine.controller.take_vector() == 0x24
        machine.bus.outp(0x20, 1, 0x20)
        assert machine.bus.inp(0x3F8) == ord("x")
        assert not machine.controller.pending(), "one edge for both: the driver looks at every port"
        assert machine.bus.inp(0x3E8) == ord("x")
        backends[2].feed(b"y")
        machine.board.uarts[2].receive()
        assert machine.controller.take_vector() == 0x24


def test_a_fifth_serial_line_is_refused() -> None:
    with pytest.raises(ConfigError, match="5 serial lines"):
        Machine(engine="scripted", memory=MIB, serial=[MemoryBackend() for _ in range(5)])


def test_what_is_not_given_is_not_on_the_board(machine: Machine) -> None:
    assert [machine.bus.owner(port) for port in (0x2F8, 0x3E8, 0x2E8, 0x378)] == [None] * 4


def test_a_printer_on_the_parallel_port() -> None:
    paper = MemoryBackend()
    with Machine(engine="scripted", memory=MIB, clock=VirtualClock(), parallel=paper) as machine:
        assert (machine.bus.owner(0x37A), machine.lines.owners[7]) == ("parallel-port", "parallel-port")
        for byte in b"page":
            machine.bus.outp(0x378, 1, byte)
            machine.bus.outp(0x37A, 1, 0x0D)
            machine.bus.outp(0x37A, 1, 0x0C)
        machine.flush_output()
    assert paper.output() == b"page"


def test_the_speaker_is_heard(machine: Machine) -> None:
    tones: list[tuple[int, float]] = []
    machine.on_tone(lambda ns, hertz: tones.append((ns, round(hertz))))
    assert machine.bus.inp(0x61) & 3 == 0
    machine.bus.outp(0x43, 1, 0xB6)
    machine.bus.outp(0x42, 1, 1193 & 0xFF)
    machine.bus.outp(0x42, 1, 1193 >> 8)
    assert tones == [], "the gate is closed"
    cast(VirtualClock, machine.clock).advance(5_000_000)
    machine.bus.outp(0x61, 1, 3)
    machine.bus.outp(0x61, 1, 3)
    machine.bus.outp(0x42, 1, 2386 & 0xFF)
    machine.bus.outp(0x42, 1, 2386 >> 8)
    cast(VirtualClock, machine.clock).advance(1_000_000)
    machine.bus.outp(0x61, 1, 1)
    assert tones == [(5_000_000, 1000), (5_000_000, 500), (6_000_000, 0)]


def test_a_listener_that_raises_ends_the_run(machine: Machine) -> None:
    machine.on_tone(lambda ns, hertz: 1 // 0)
    machine.bus.outp(0x43, 1, 0xB6)
    machine.bus.outp(0x42, 2, 0x0204)
    machine.bus.outp(0x42, 1, 4)
    machine.bus.outp(0x61, 1, 3)
    kind, _, failure, _ = machine.attention.take_stop()
    assert (kind, type(failure)) == (StopKind.DEVICE_ERROR, ZeroDivisionError)
