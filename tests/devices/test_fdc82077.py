# SPDX-License-Identifier: GPL-2.0-or-later
"""The floppy controller as a driver sees it, on a board with DMA; and the same commands given to qemu's."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hyperport import Machine
from hyperport.devices.fdc82077 import Fdc82077
from hyperport.devices.floppy_drive import FloppyDrive
from hyperport.errors import ConfigError
from hyperport.host.disk import MemoryDisk
from hyperport.host.floppy_image import MEDIA, RATES, Medium
from hyperport.time.clock import VirtualClock
from tests.devices.qtest import Qtest
from tests.devices.test_dma8237 import READ as FROM_MEMORY
from tests.devices.test_dma8237 import SINGLE, program
from tests.devices.test_dma8237 import WRITE as TO_MEMORY

DOR, TDR, MSR, FIFO, DIR, CCR = 0x3F2, 0x3F3, 0x3F4, 0x3F5, 0x3F7, 0x3F7
BUFFER = 0x11000
SIZE = 1474560
MOMENT = 200_000  # ns: longer than the chip takes


class Driver:
    """What a BIOS does, on a machine of ours or of qemu's."""

    def __init__(self, machine: Machine | Qtest) -> None:
        self.machine = machine

    def inb(self, port: int) -> int:
        return self.machine.inb(port) if isinstance(self.machine, Qtest) else self.machine.bus.inp(port)

    def outb(self, port: int, value: int) -> None:
        if isinstance(self.machine, Qtest):
            self.machine.outb(port, value)
        else:
            self.machine.bus.outp(port, 1, value)

    def wait(self) -> None:
        """Until the chip lets a byte be moved."""
        if isinstance(self.machine, Qtest):
            while not self.inb(MSR) & 0x80:
                time.sleep(0.001)
        else:
            clock = self.machine.clock
            assert isinstance(clock, VirtualClock)
            clock.advance(MOMENT)

    def reset(self) -> None:
        self.outb(DOR, 0)
        self.outb(DOR, 0x1C)
        self.wait()
        for _ in range(4):
            self.give(8)
            self.result()

    def give(self, *command: int) -> None:
        for byte in command:
            assert self.inb(MSR) & 0xC0 == 0x80
            self.outb(FIFO, byte)
        self.wait()

    def result(self) -> list[int]:
        found = []
        while self.inb(MSR) & 0xD0 == 0xD0:
            found.append(self.inb(FIFO))
        return found

    def do(self, *command: int) -> list[int]:
        self.give(*command)
        return self.result()

    def dma(self, mode: int, size: int) -> None:
        program(self.machine if isinstance(self.machine, Qtest) else self.machine.bus, 2, SINGLE | mode, BUFFER, size)

    def memory(self, size: int) -> bytes:
        return (
            self.machine.read(BUFFER, size)
            if isinstance(self.machine, Qtest)
            else self.machine.memory.read(BUFFER, size)
        )

    def store(self, data: bytes) -> None:
        if isinstance(self.machine, Qtest):
            self.machine.write(BUFFER, data)
        else:
            self.machine.memory.write(BUFFER, data)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "floppy.img"
    path.write_bytes(random.Random(1).randbytes(SIZE))
    return path


@pytest.fixture
def machine(image: Path) -> Iterator[Machine]:
    with Machine(engine="scripted", memory=2 << 20, floppies=[str(image), "none"], clock=VirtualClock()) as one:
        yield one


@pytest.fixture
def driver(machine: Machine) -> Driver:
    driver = Driver(machine)
    driver.reset()
    return driver


def irq(driver: Driver) -> bool:
    assert isinstance(driver.machine, Machine)
    return bool(driver.machine.bus.inp(0x20) & 0x40)  # the request register is what 20h reads


def test_a_reset_is_told_of_four_times(machine: Machine) -> None:
    driver = Driver(machine)
    driver.outb(DOR, 0)
    assert driver.inb(MSR) == 0
    driver.outb(DOR, 0x0C)
    assert not irq(driver)
    driver.wait()
    assert irq(driver)
    assert [driver.do(8) for _ in range(5)] == [[0xC0, 0], [0xC1, 0], [0xC2, 0], [0xC3, 0], [0x80]]


def test_what_the_chip_says_of_itself(driver: Driver) -> None:
    assert (driver.do(0x10), driver.do(0x18)) == ([0x90], [0x80])
    assert (driver.do(3, 0xAF, 0x02), driver.do(0x13, 0, 0x57, 5), driver.do(0x94)) == ([], [], [0x10])
    driver.give(0x12, 0x83 | 0x20)
    assert driver.do(0x0E) == [0, 0, 0, 0, 0xAF, 2, 0, 0xA3, 0x57, 5]
    driver.reset()
    assert driver.do(0x0E)[7:] == [0xA0, 0x07, 5], "locked: FIFO and threshold stay, the polling comes back"
    assert driver.do(0x14) == [0]
    driver.reset()
    assert driver.do(0x0E)[7:] == [0x20, 0x20, 0]


@pytest.mark.parametrize("command", [0x01, 0x0B, 0x1F, 0x87, 0x28, 0x30, 0x4F & 0x0B])
def test_what_is_no_command(driver: Driver, command: int) -> None:
    assert driver.do(command) == [0x80]


def test_seek_and_the_change_line(driver: Driver) -> None:
    assert driver.inb(DIR) == 0x80, "nobody has looked at the medium yet"
    driver.give(7, 0)
    assert driver.inb(MSR) == 0x81
    assert irq(driver)
    assert (driver.do(8), driver.inb(DIR)) == ([0x20, 0], 0x80), "no step, so the line stays"
    driver.give(0xF, 4, 5)
    assert (driver.do(8), driver.inb(DIR), driver.do(4, 0)) == ([0x24, 5], 0, [0x28])
    driver.give(0xCF, 0, 3)
    assert driver.do(8) == [0x20, 8]
    driver.give(0x8F, 0, 8)
    assert (driver.do(8), driver.do(4, 4)) == ([0x20, 0], [0x3C])
    driver.give(7, 2)
    assert driver.do(8) == [0x72, 0], "there is no third drive"


def test_seeks_of_two_drives_at_once(driver: Driver) -> None:
    driver.outb(FIFO, 7)
    driver.outb(FIFO, 0)
    driver.outb(FIFO, 0xF)
    driver.outb(FIFO, 1)
    driver.outb(FIFO, 7)
    assert driver.inb(MSR) == 0x83
    driver.wait()
    assert (driver.do(8), driver.inb(MSR), driver.do(8), driver.do(8)) == ([0x20, 0], 0x82, [0x21, 7], [0x80])


@pytest.mark.parametrize("size", [512, 1024, 18 * 512, 36 * 512])
def test_read_by_dma(driver: Driver, image: Path, size: int) -> None:
    driver.dma(TO_MEMORY, size)
    count = size // 512
    result = driver.do(0xE6, 0, 3, 0, 1, 2, 18, 0x1B, 0xFF)
    end = [3, 0, count + 1] if count < 18 else [3, 1, 1] if count == 18 else [4, 0, 1]
    assert (result[:3], result[3:]) == ([4 if end[1] else 0, 0, 0], [*end, 2])
    assert driver.memory(size) == image.read_bytes()[3 * 36 * 512 :][:size]


def test_a_read_that_waits_for_its_channel(driver: Driver, image: Path) -> None:
    driver.give(0xE6, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF)
    assert driver.inb(MSR) == 0x10
    driver.dma(TO_MEMORY, 512)
    assert (driver.result(), driver.memory(512)) == ([0, 0, 0, 0, 0, 2, 2], image.read_bytes()[:512])


def test_write_and_read_back(driver: Driver, image: Path) -> None:
    data = random.Random(2).randbytes(1536)
    driver.store(data)
    driver.dma(FROM_MEMORY, 1536)
    assert driver.do(0xC5, 0, 79, 1, 16, 2, 18, 0x1B, 0xFF) == [0, 0, 0, 80, 0, 1, 2]
    assert image.read_bytes()[-1536:] == data
    driver.store(b"part")
    driver.dma(FROM_MEMORY, 4)
    driver.do(0xC5, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF)
    assert image.read_bytes()[:512] == b"part".ljust(512, b"\0")


def test_without_a_terminal_count_the_cylinder_ends(driver: Driver) -> None:
    driver.dma(TO_MEMORY, 4096)
    assert driver.do(0x46, 0, 0, 0, 17, 2, 18, 0x1B, 0xFF) == [0x40, 0x80, 0, 1, 0, 1, 2]


@pytest.mark.parametrize("count", [17, 18, 36, 37, 100, 119])
def test_many_tracks_as_seabios_reads_them(driver: Driver, image: Path, count: int) -> None:
    driver.dma(TO_MEMORY, count * 512)
    result = driver.do(0xE6, 0, 5, 0, 2, 2, 2 + count - 1, 0x1B, 0xFF)
    sector = 5 * 36 + 1 + count
    assert result == [sector // 18 % 2 << 2, 0, 0, sector // 36, sector // 18 % 2, sector % 18 + 1, 2]
    assert driver.memory(count * 512) == image.read_bytes()[(5 * 36 + 1) * 512 :][: count * 512]


def test_tracks_end_where_the_medium_does(driver: Driver) -> None:
    driver.dma(TO_MEMORY, 64 << 10)
    assert driver.do(0xC6, 4, 79, 1, 17, 2, 40, 0x1B, 0xFF) == [0x40, 4, 0, 80, 0, 1, 2]
    driver.dma(TO_MEMORY, 64 << 10)
    assert driver.do(0x46, 0, 5, 0, 17, 2, 40, 0x1B, 0xFF)[:2] == [0x40, 4], "one side without MT"
    assert driver.do(0xD6, 0, 0, 0, 1, 2, 255, 0x1B, 0xFF)[:2] == [0x40, 4], "verify up to the last cylinder"


def test_bytes_through_the_fifo(driver: Driver, image: Path) -> None:
    driver.do(3, 0xAF, 0x03)
    driver.give(0xE6, 0, 0, 0, 18, 2, 18, 0x1B, 0xFF)
    assert driver.inb(MSR) == 0xF0
    assert irq(driver)
    got = bytes(driver.inb(FIFO) for _ in range(1024))
    assert got == image.read_bytes()[17 * 512 :][:1024]
    for _ in range(17 * 512):
        driver.inb(FIFO)
    assert driver.result() == [0x40, 0x80, 0, 1, 0, 1, 2]
    driver.give(0x45, 0, 2, 0, 18, 2, 18, 0x1B, 0xFF)
    assert driver.inb(MSR) == 0xB0
    for byte in got[:512]:
        driver.outb(FIFO, byte)
    assert driver.result()[1] == 0x80
    assert image.read_bytes()[(2 * 36 + 17) * 512 :][:512] == got[:512]


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ((0x46, 0, 80, 0, 1, 2, 18, 0x1B, 0xFF), [0x40, 4, 0]),
        ((0x46, 0, 0, 2, 1, 2, 18, 0x1B, 0xFF), [0x40, 4, 0]),
        ((0x46, 0, 0, 0, 19, 2, 19, 0x1B, 0xFF), [0x40, 4, 0]),
        ((0x46, 0, 0, 0, 1, 3, 18, 0x1B, 0xFF), [0x40, 4, 0]),
        ((0x46, 1, 0, 0, 1, 2, 18, 0x1B, 0xFF), [0x41, 1, 0]),
        ((0x4A, 2), [0x42, 1, 0]),
    ],
)
def test_what_is_not_there(driver: Driver, command: tuple[int, ...], told: list[int]) -> None:
    driver.dma(TO_MEMORY, 512)
    assert driver.do(*command)[:3] == told


def test_the_wrong_data_rate_finds_nothing(driver: Driver) -> None:
    driver.outb(CCR, 2)
    assert driver.do(0x4A, 0)[:3] == [0x40, 1, 0]
    driver.outb(CCR, 0)
    assert driver.do(0x4A, 0) == [0, 0, 0, 0, 0, 1, 2]
    assert driver.do(0x4A, 4) == [4, 0, 0, 0, 1, 2, 2], "the next name that comes by"


def test_verify_moves_nothing(driver: Driver) -> None:
    assert driver.do(0x56, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF) == [0, 0, 0, 1, 0, 1, 2]
    assert driver.do(0xD6, 0x80, 0, 0, 17, 2, 18, 0x1B, 3) == [4, 0, 0, 0, 1, 2, 2]
    assert driver.do(0x56, 0, 0, 0, 1, 2, 30, 0x1B, 0xFF)[:2] == [0x40, 4]


def test_format(driver: Driver, image: Path) -> None:
    driver.store(b"".join(bytes((5, 1, sector, 2)) for sector in range(1, 19)))
    driver.dma(FROM_MEMORY, 72)
    driver.give(0xF, 4, 5)
    driver.do(8)
    assert driver.do(0x4D, 4, 2, 18, 0x54, 0xF6)[:3] == [4, 0, 0]
    assert image.read_bytes()[(5 * 2 + 1) * 18 * 512 :][: 18 * 512] == b"\xf6" * 18 * 512
    driver.dma(FROM_MEMORY, 72)
    assert driver.do(0x4D, 4, 3, 18, 0x54, 0xF6)[:3] == [0x44, 1, 0]


def test_deleted_marks_are_not_there(driver: Driver) -> None:
    driver.dma(TO_MEMORY, 1024)
    assert driver.do(0x4C, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF) == [0, 0, 0x40, 0, 0, 2, 2]
    assert driver.do(0x6C, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF)[:3] == [0x40, 4, 0]


def test_write_protection(machine: Machine, driver: Driver, image: Path) -> None:
    before = image.read_bytes()
    machine.drives.change_floppy("fda", image, read_only=True)
    assert (driver.do(4, 0), driver.inb(DIR)) == ([0x78], 0x80)
    driver.dma(FROM_MEMORY, 512)
    assert driver.do(0x45, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF)[:3] == [0x40, 2, 0]
    assert driver.do(0x4D, 0, 2, 18, 0x54, 0xF6)[:3] == [0x40, 2, 0]
    assert image.read_bytes() == before


def test_a_host_that_fails() -> None:
    clock = VirtualClock()
    disk = MemoryDisk(SIZE)
    chip = Fdc82077(clock, None, (FloppyDrive(4, disk, (80, 2, 18, 0)), None))
    chip.write(5, 1, 3)
    chip.write(5, 1, 0xAF)
    chip.write(5, 1, 3)

    def told(*command: int) -> list[int]:
        for byte in command:
            chip.write(5, 1, byte)
        clock.advance(MOMENT)
        while chip.read(4) & 0xF0 == 0xB0:
            chip.write(5, 1, 0)
        return [chip.read(5) for _ in range(7)][:3]

    disk.fail_from(0, 5)
    assert told(0x46, 0, 0, 0, 1, 2, 1, 0x1B, 0xFF) == [0x40, 0x20, 0x20]
    assert told(0x45, 0, 0, 0, 1, 2, 1, 0x1B, 0xFF) == [0x40, 0x20, 0]
    assert disk.failures == 2


def test_a_medium_is_changed(machine: Machine, driver: Driver, tmp_path: Path) -> None:
    driver.give(0xF, 0, 1)
    driver.do(8)
    assert driver.inb(DIR) == 0
    machine.drives.change_floppy("fda", None)
    driver.give(0xF, 0, 3)
    driver.do(8)
    assert driver.inb(DIR) == 0x80, "it stays as long as the drive is empty"
    assert driver.do(0x4A, 0)[:2] == [0x40, 1]
    other = tmp_path / "other.img"
    other.write_bytes(b"other".ljust(737280, b"\0"))
    machine.drives.change_floppy("fda", other)
    driver.give(0xF, 0, 0)
    driver.do(8)
    driver.outb(CCR, RATES[250])
    driver.dma(TO_MEMORY, 512)
    assert (driver.inb(DIR), driver.do(0xE6, 0, 0, 0, 1, 2, 9, 0x1B, 0xFF)[0]) == (0, 0)
    assert driver.memory(5) == b"other"


def test_what_does_not_fit(machine: Machine, tmp_path: Path) -> None:
    big = tmp_path / "big.img"
    big.write_bytes(bytes(2949120))
    with pytest.raises(ConfigError, match=r"fdb: .* is for a drive of 3.5 inch \(2.88 MB\), and this one is of"):
        machine.drives.change_floppy("fdb", big)
    with pytest.raises(ConfigError, match="no floppy drive is there"):
        machine.drives.change_floppy("fdc", big)


@pytest.mark.parametrize("medium", MEDIA)
def test_each_medium_from_its_first_to_its_last_sector(medium: Medium, tmp_path: Path) -> None:
    cylinders, heads, sectors, kind, kbits = medium
    path = tmp_path / "medium.img"
    count = cylinders * heads * sectors
    path.write_bytes(b"".join(number.to_bytes(4, "little") * 128 for number in range(count)))
    with Machine(engine="scripted", memory=2 << 20, floppies=[str(path)], clock=VirtualClock()) as machine:
        driver = Driver(machine)
        driver.reset()
        machine.bus.outp(0x70, 1, 0x10)
        assert machine.bus.inp(0x71) == kind << 4
        driver.outb(CCR, RATES[kbits])
        driver.dma(TO_MEMORY, 512)
        assert driver.do(0x46, 0, cylinders - 1, heads - 1, sectors, 2, sectors, 0x1B, 0xFF)[0] & 0xC0 == 0
        assert driver.memory(4) == (count - 1).to_bytes(4, "little")


COMMANDS = (
    (0x10,),
    (0x0E,),
    (0x14,),
    (0x94,),
    (8,),
    (0x1F,),
    (3, 0xAF, 2),
    (3, 0x8F, 2),
    (0x13, 0, 0x57, 9),
    (0x13, 0, 0x40, 0),
)


def test_the_same_as_qemu(tmp_path: Path) -> None:
    """Random commands that both do, on images that are equal; results, memory and images stay equal."""
    rng = random.Random(14)
    data = rng.randbytes(SIZE)
    mine, theirs = tmp_path / "mine.img", tmp_path / "theirs.img"
    for path in (mine, theirs):
        path.write_bytes(data)
    arguments = ("-drive", f"if=floppy,format=raw,file={theirs}")
    with (
        Machine(engine="scripted", memory=2 << 20, floppies=[str(mine)], clock=VirtualClock()) as machine,
        Qtest(*arguments) as qemu,
    ):
        ours, other = Driver(machine), Driver(qemu)
        both = (ours, other)
        for driver in both:
            driver.reset()
            driver.outb(CCR, 0)
            driver.give(0x13, 0, 0x57, 0)  # qemu begins with another configuration
        for _ in range(250):
            cylinder, head, sector = rng.randrange(80), rng.randrange(2), rng.randrange(1, 19)
            count = rng.randint(1, 19 - sector)
            what = rng.randrange(5)
            if what == 0:
                command: tuple[int, ...] = rng.choice(COMMANDS)
                told = [driver.do(*command) for driver in both]
                if command == (0x0E,):  # qemu has its own idea of heads and times, and of the last EOT
                    told = [[one[7] & 0x80, *one[8:]] for one in told]
                assert told[0] == told[1], command
            elif what == 1:
                for driver in both:
                    driver.give(0xF, head << 2, cylinder)
                assert ours.do(8)[1] == other.do(8)[1] == cylinder
            elif what in (2, 3):
                for driver in both:
                    driver.store(bytes(count * 512))
                    driver.dma(TO_MEMORY, count * 512)
                command = (0x46, head << 2, cylinder, head, sector, 2, 18, 0x1B, 0xFF)
                if far := rng.random() < 0.4 and cylinder < 76:  # as SeaBIOS reads more than a track
                    count = rng.randint(1, 119)
                    command = (0xE6, head << 2, cylinder, head, sector, 2, sector + count - 1, 0x1B, 0xFF)
                for driver in both if far else ():
                    driver.dma(TO_MEMORY, count * 512)
                told = [driver.do(*command)[:3] for driver in both]
                assert told[0] == [one & ~0x20 for one in told[1]], command  # qemu tells of the implied seek
                assert ours.memory(count * 512) == other.memory(count * 512)
            else:
                fresh = rng.randbytes(count * 512)
                for driver in both:
                    driver.store(fresh)
                    driver.dma(FROM_MEMORY, count * 512)
                command = (0x45, head << 2, cylinder, head, sector, 2, 18, 0x1B, 0xFF)
                told = [driver.do(*command)[:3] for driver in both]
                assert told[0] == [one & ~0x20 for one in told[1]], command
        for driver in both:
            driver.outb(DOR, 0x0C)
    assert mine.read_bytes() == theirs.read_bytes() != data
