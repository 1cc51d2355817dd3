# SPDX-License-Identifier: GPL-2.0-or-later
"""Random port accesses on an IDE channel by the hundred thousand; HYPERPORT_FUZZ=N makes it N.

Where hypothesis looks for a small case (test_ide.py), this looks for a rare one.
"""

from __future__ import annotations

import os
import random
import resource
from pathlib import Path

from hyperport.devices.ata_drive import AtaDrive
from hyperport.devices.atapi_cdrom import AtapiCdrom
from hyperport.host.disk_image import open_cdrom, open_disk
from hyperport.host.specs import DiskSpec

from .ide_host import BSY, CONTROL, COUNT, DATA, DEVICE, DRQ, HIGH, LBA, LOW, MID, SECOND, STATUS, Host
from .test_ide import COMMANDS, PACKETS

ACCESSES = int(os.environ.get("HYPERPORT_FUZZ", "100000"))
SECTORS = 3000
BLOCKS = 100
GROWTH_KIB = 64 * 1024


def test_random_accesses(tmp_path: Path) -> None:
    image, disc = tmp_path / "image", tmp_path / "disc"
    image.write_bytes(bytes(SECTORS * 512))
    disc.write_bytes(bytes(BLOCKS * 2048))
    disk = open_disk(DiskSpec(path=image, snapshot=True))  # a real file, which a flush does not wait for
    cd = open_cdrom(disc)
    hosts = [Host(AtaDrive(disk), AtapiCdrom(cd)) for _ in range(2)]
    chance = random.Random(ACCESSES)
    made = data_phases = moved = 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    while made < ACCESSES:
        host = hosts[0]
        channel = host.channel
        match chance.choices(range(8), (30, 20, 10, 8, 10, 10, 4, 0.1))[0]:
            case 0:
                width = chance.choice((1, 1, 1, 2, 4))
                assert 0 <= channel.read(chance.randrange(9), width) < 1 << 8 * width
            case 1:
                channel.write(chance.randrange(9), chance.choice((1, 1, 1, 2, 4)), chance.getrandbits(32))
            case 2:
                channel.write(DEVICE, 1, chance.choice((0, LBA, LBA, SECOND, SECOND | LBA)))
            case 3:
                for register, value in ((LOW, chance.randrange(256)), (MID, chance.randrange(13)), (HIGH, 0)):
                    channel.write(register, 1, value)
                channel.write(COUNT, 1, chance.choice((0, 1, 2, 8, 255)))
            case 4:
                channel.write(STATUS, 1, chance.choice(COMMANDS))
            case 5:
                width = chance.choice((1, 2, 4))
                count = chance.choice((1, 6, 128, 256, 16384, 40000))
                moved += count
                if chance.random() < 0.5:
                    assert len(channel.read_block(DATA, width, count)) == width * count
                else:
                    channel.write_block(DATA, width, bytes(width * count))
            case 6:
                packet = bytes([chance.choice(PACKETS), *chance.choices((0, 0, 0, 1, 2, 9, 64, 255), k=11)])
                channel.write(CONTROL, 1, 0)
                channel.write(DEVICE, 1, SECOND)
                channel.write(STATUS, 1, 0xA0)
                channel.write_block(DATA, 2, packet)
            case _:
                record = channel.save()
                hosts[1].channel.load(record)
                assert hosts[1].channel.save() == record
                hosts.reverse()
        made += 1
        status = hosts[0].read(CONTROL)
        assert status & (BSY | DRQ) != BSY | DRQ
        data_phases += bool(status & DRQ)
    assert data_phases > ACCESSES // 50, "random programs reach the data port"
    assert moved > ACCESSES
    assert image.read_bytes() == bytes(SECTORS * 512)
    assert disc.read_bytes() == bytes(BLOCKS * 2048)
    assert disk.failures == cd.failures == 0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < GROWTH_KIB
