# SPDX-License-Identifier: GPL-2.0-or-later
"""Where images go: hda to hdd, and what is said if that cannot be."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from hyperport import ConfigError, Machine
from hyperport.host.floppy_image import MEDIA
from hyperport.host.specs import DRIVE_3, DRIVE_3_ED, DRIVE_5, DiskSpec, FloppySpec
from hyperport.machine.drives import Drives, fits

from ..conftest import MIB, flat_guest, run_command


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"image{number}" for number in range(5)]
    for path in paths:
        path.write_bytes(bytes(2048))
    return paths


@pytest.mark.parametrize(
    ("disks", "cdroms", "places"),
    [
        (0, 1, ["hdc"]),
        (0, 3, ["hdc", "hdd", "hda"]),
        (1, 1, ["hda", "hdc"]),
        (1, 3, ["hda", "hdc", "hdd", "hdb"]),
        (2, 2, ["hda", "hdb", "hdc", "hdd"]),
        (3, 1, ["hda", "hdb", "hdc", "hdd"]),
        (4, 0, ["hda", "hdb", "hdc", "hdd"]),
    ],
)
def test_places(images: list[Path], disks: int, cdroms: int, places: list[str]) -> None:
    made = Drives([DiskSpec(path=path) for path in images[:disks]], images[disks : disks + cdroms])
    assert list(made.images) == places
    drives = (*made.primary, *made.secondary)
    assert [drive.name if drive else "" for drive in drives].count("CD-ROM drive") == cdroms
    assert made.trouble() == []
    made.close()


def test_five_are_too_many(images: list[Path]) -> None:
    with pytest.raises(ConfigError, match="3 disks and 2 CD-ROMs: there are 4 drives"):
        Drives([DiskSpec(path=path) for path in images[:3]], images[3:])


def test_closed_machine_gives_its_images_back(images: list[Path]) -> None:
    disks = (DiskSpec(path=images[0]),)
    with Machine(memory=MIB, disks=disks), pytest.raises(ConfigError, match="in use by a machine"):
        Machine(memory=MIB, disks=disks)
    Machine(memory=MIB, disks=disks).close()


def test_another_disc(images: list[Path]) -> None:
    with Machine(memory=MIB, disks=(DiskSpec(path=images[0]),), cdroms=(images[1],)) as machine:
        drives = machine.drives
        images[2].write_bytes(bytes(4096))
        assert drives.change_disc("hdc", images[2])
        assert drives.images["hdc"].sectors == 8
        Machine(memory=MIB, disks=(DiskSpec(path=images[1]),)).close()  # the lock of the first one has gone
        with pytest.raises(ConfigError, match="hda: no CD-ROM drive is there"):
            drives.change_disc("hda", images[1])
        with pytest.raises(ConfigError, match="hdx: no CD-ROM drive is there"):
            drives.change_disc("hdx", images[1])
        with pytest.raises(ConfigError, match="No such file"):
            drives.change_disc("hdc", images[1].with_name("none"))
        assert drives.images["hdc"].sectors == 8
        drive = drives.secondary[0]
        assert drive is not None
        record = drive.save()
        drive.load(record | {"locked": 1})
        assert not drives.change_disc("hdc", None)
        assert not drives.change_disc("hdc", images[1])
        drive.load(record)
        assert drives.change_disc("hdc", None)
        assert list(drives.images) == ["hda"]
        assert drives.change_disc("hdc", images[1])


def test_trouble_of_the_host_is_told_at_the_end(images: list[Path], tmp_path: Path) -> None:
    listing = """
        ba f6 01 00 00  ; mov $0x1f6, %edx
        b0 40           ; mov $LBA, %al
        ee              ; out %al, (%dx)
        ba f2 01 00 00  ; mov $0x1f2, %edx
        b0 01           ; mov $1, %al
        ee              ; out %al, (%dx)
        ba f3 01 00 00  ; mov $0x1f3, %edx
        30 c0           ; xor %al, %al
        ee              ; out %al, (%dx)
        ba f4 01 00 00  ; mov $0x1f4, %edx
        ee              ; out %al, (%dx)
        ba f5 01 00 00  ; mov $0x1f5, %edx
        ee              ; out %al, (%dx)
        ba f7 01 00 00  ; mov $0x1f7, %edx
        b0 20           ; mov $READ, %al
        ee              ; out %al, (%dx)
        ec              ; in (%dx), %al
        e6 f4           ; out %al, $0xf4
    """
    with flat_guest(tmp_path, listing, disks=(DiskSpec(path=images[0]),)) as machine:
        images[0].write_bytes(b"")
        outcome = machine.run(timeout=60)
        assert outcome.status == 0x51 << 1 | 1
        assert machine.drives.trouble() == ["hda: 2 requests failed, the last one with: Input/output error"]


def test_image_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    done = run_command("demo", "--disk", str(tmp_path / "none"))
    assert done.returncode == 78
    hint = f"make one with: truncate -s 1G {tmp_path}/none"
    assert done.stderr == f"hyperport: disk {tmp_path}/none: No such file or directory; {hint}\n"


def entry(heads: int, track: int, cylinders: int, *, first: int | None = None, kind: int = 6) -> bytes:
    """A partition from the second track to the end of its last cylinder."""
    start = track if first is None else first
    length = heads * track * cylinders - start
    high = (cylinders - 1) >> 2 & 0xC0
    return struct.pack("<8BII", 0x80, 1, 1, 0, kind, heads - 1, track | high, (cylinders - 1) & 0xFF, start, length)


@pytest.mark.parametrize(
    ("table", "geometry"),
    [
        (entry(4, 17, 615), (4, 17)),
        (entry(16, 63, 1000), (16, 63)),
        (bytes(16) + entry(8, 32, 900), (8, 32)),
        (entry(255, 63, 10), (16, 63)),  # a BIOS's heads
        (entry(4, 17, 615, kind=0), (16, 63)),
        (entry(4, 17, 615)[:12] + b"\x01\x02\x03\x04", (16, 63)),  # its end is not where it says
        (b"", (16, 63)),
    ],
)
def test_the_geometry_of_a_disk_is_that_of_its_partitions(
    tmp_path: Path, table: bytes, geometry: tuple[int, int]
) -> None:
    image = tmp_path / "disk.img"
    with image.open("wb") as file:
        file.write(bytes(446) + table.ljust(64, b"\0") + b"\x55\xaa")
        file.truncate(32 << 20)
    with Machine(disks=image, memory=MIB, engine="scripted") as machine:
        machine.bus.outp(0x1F6, 1, 0xA0)
        machine.bus.outp(0x1F7, 1, 0xEC)  # IDENTIFY DEVICE
        words = struct.unpack("<256H", machine.bus.inp_block(0x1F0, 2, 256))
    heads, track = geometry
    assert (words[1], words[3], words[6]) == ((32 << 20) // 512 // (heads * track), heads, track)
    assert words[54:57] == (words[1], heads, track)


def cmos(machine: Machine, registers: range) -> list[int]:
    def at(register: int) -> int:
        machine.bus.outp(0x70, 1, register)
        return machine.bus.inp(0x71)

    return [at(register) for register in registers]


def test_the_setup_tells_of_disks(tmp_path: Path) -> None:
    """As qemu's isapc has it, where the geometry is the same: 130 cylinders, 16 heads, 63 sectors."""
    disks = []
    for number in range(2):
        disks.append(tmp_path / f"disk{number}")
        disks[-1].write_bytes(b"")
        os.truncate(disks[-1], 64 * MIB)
    description = [130, 0, 16, 0xFF, 0xFF, 0xC8, 130, 0, 63]
    with Machine(memory=MIB) as machine:
        assert cmos(machine, range(0x12, 0x13)) == [0]
        assert not any(cmos(machine, range(0x19, 0x2D)))
    with Machine(memory=MIB, disks=disks[:1]) as machine:
        assert cmos(machine, range(0x12, 0x13)) == [0xF0]
        assert cmos(machine, range(0x19, 0x2D)) == [47, 0, *description, *[0] * 9]
    with Machine(memory=MIB, disks=disks) as machine:
        assert cmos(machine, range(0x12, 0x13)) == [0xFF]
        assert cmos(machine, range(0x19, 0x2D)) == [47, 47, *description, *description]
        summed = sum(cmos(machine, range(0x10, 0x2E)))
        assert cmos(machine, range(0x2E, 0x30)) == [summed >> 8, summed & 0xFF]


@pytest.mark.parametrize("laid_in", [True, False])
def test_a_saved_machine_has_the_media_of_its_time(images: list[Path], tmp_path: Path, laid_in: bool) -> None:
    """Of the start's, which is another or has gone, nothing is asked."""
    for image in images[2:]:
        image.write_bytes(bytes(1440 << 10))
    floppies = (FloppySpec(path=images[2]),)
    with Machine(memory=MIB, cdroms=images[:1], floppies=floppies, engine="unicorn") as machine:
        assert machine.drives.change_disc("hdc", images[1] if laid_in else None)
        machine.drives.change_floppy("fda", images[3] if laid_in else None, read_only=True)
        machine.save(tmp_path / "saved")
    if laid_in:
        images[0].unlink()
        images[2].unlink()
    with Machine.restore(tmp_path / "saved") as machine:
        assert machine.drives.paths == ({"hdc": images[1], "fda": images[3]} if laid_in else {})


def test_a_saved_machine_has_the_drives_of_its_time(images: list[Path], tmp_path: Path) -> None:
    """A drive of 2.88 MB stays one, with a floppy of 1.44 MB in it or none."""
    images[0].write_bytes(bytes(2880 << 10))
    images[1].write_bytes(bytes(1440 << 10))
    floppies = (FloppySpec(path=images[0]), FloppySpec(path=None, drive=DRIVE_5))
    with Machine(memory=MIB, floppies=floppies, engine="unicorn") as machine:
        machine.drives.change_floppy("fda", images[1])
        machine.save(tmp_path / "saved")
    with Machine.restore(tmp_path / "saved") as machine:
        assert machine.drives.floppy_kinds() == (DRIVE_3_ED, DRIVE_5)
        machine.drives.change_floppy("fda", images[0])
        machine.drives.change_floppy("fda", None)
        machine.save(tmp_path / "empty")
    with Machine.restore(tmp_path / "empty") as machine:
        assert machine.drives.floppy_kinds() == (DRIVE_3_ED, DRIVE_5)


def test_a_drive_that_is_asked_for(images: list[Path]) -> None:
    images[0].write_bytes(bytes(1440 << 10))
    with Machine(memory=MIB, floppies=(FloppySpec(path=images[0], drive=DRIVE_3_ED),), engine="scripted") as machine:
        assert machine.drives.floppy_kinds() == (DRIVE_3_ED, 0)
    with pytest.raises(ConfigError, match=r"is for a drive of 3\.5 inch \(1\.44 MB\), and this one is of 5\.25 inch"):
        Machine(memory=MIB, floppies=(FloppySpec(path=images[0], drive=DRIVE_5),), engine="scripted")
    with pytest.raises(ConfigError, match=r"floppy drive 3: there are 2 for 5\.25 inch"):
        FloppySpec(path=None, drive=3)


def test_a_medium_fits_its_own_drive_and_1_44_mb_also_that_of_2_88() -> None:
    fitting = {
        (medium.drive, drive) for medium in MEDIA for drive in (DRIVE_5, DRIVE_3, DRIVE_3_ED) if fits(medium, drive)
    }
    assert fitting == {(DRIVE_5, DRIVE_5), (DRIVE_3, DRIVE_3), (DRIVE_3, DRIVE_3_ED), (DRIVE_3_ED, DRIVE_3_ED)}
