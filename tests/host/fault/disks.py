# SPDX-License-Identifier: GPL-2.0-or-later
"""Disk images under faults, seen through a drive: what the guest may be told, and what a sector may hold."""

from __future__ import annotations

import errno
from pathlib import Path

from hyperport.devices.ata_drive import AtaDrive
from hyperport.devices.atapi_cdrom import AtapiCdrom
from hyperport.devices.cd_sector import raw_sector
from hyperport.errors import HostError, HyperportError
from hyperport.host.disk_image import open_cdrom, open_disk
from hyperport.host.specs import DiskSpec

from ...devices.ide_host import ABRT, DRQ, ERR, ERROR, UNC, Host

SECTORS = 64
READ, WRITE, FLUSH, SET_FEATURES = 0x20, 0x30, 0xE7, 0xEF
CACHE_OFF = 0x82


def sector(number: int, version: int = 0) -> bytes:
    return bytes([number, version]) * 256


class DiskScenario:
    """A guest that writes, flushes and reads; after the fault the image is opened again and compared.

    now: the values that each sector may have for the guest. safe: those that it may have when opened anew.
    """

    def __init__(
        self, *, cache: bool = True, read_only: bool = False, snapshot: bool = False, overlay: str = ""
    ) -> None:
        self.cache, self.read_only, self.snapshot, self.overlay = cache, read_only, snapshot, overlay
        self.now = [{sector(number)} for number in range(SECTORS)]
        self.safe = [set(values) for values in self.now]
        self.closed = True

    def prepare(self, folder: Path) -> None:
        base = folder / "disk"
        base.write_bytes(b"".join(sector(number) for number in range(SECTORS)))
        overlay = folder / "overlay" if self.overlay else None
        self.spec = DiskSpec(path=base, overlay=overlay, read_only=self.read_only, snapshot=self.snapshot)
        if self.overlay == "old":
            disk = open_disk(self.spec)
            disk.write_sectors(8, sector(8, 1) + sector(9, 1))
            disk.close()
            for number in (8, 9):
                self.now[number] = {sector(number, 1)}
                self.safe[number] = {sector(number, 1)}

    def act(self) -> None:
        disk = open_disk(self.spec)
        host = Host(AtaDrive(disk))
        if not self.cache:
            self.flush_by(host, SET_FEATURES, CACHE_OFF)
        self.read(host, 5, 6)
        self.write(host, 9, 2, 2)
        self.flush_by(host, FLUSH)
        self.write(host, 9, 3, 3)
        self.write(host, 30, 1, 3)
        self.read(host, 8, 6)
        self.flush_by(host, FLUSH)
        self.write(host, 10, 1, 4)
        self.write(host, 63, 1, 4)
        self.read(host, 62, 2)
        try:
            disk.close()
        except HostError:
            self.closed = False
            raise
        if not self.snapshot:
            self.safe = [set(values) for values in self.now]

    def check(self, error: HyperportError | None) -> None:
        base = self.spec.path.read_bytes()
        if self.snapshot or self.overlay or self.read_only:
            assert base == b"".join(sector(number) for number in range(SECTORS)), "the base is never written"
        disk = open_disk(self.spec)
        for number in range(SECTORS):
            assert disk.read_sectors(number, 1) in self.safe[number], f"sector {number}"
        disk.close()
        for path in self.spec.path.parent.iterdir():
            assert path.name in ("disk", "overlay") or str(path) in str(error), f"{path} is left over in silence"

    def read(self, host: Host, first: int, count: int) -> None:
        host.command(READ, lba=first, count=count)
        for number in range(first, first + count):
            if not host.read(7) & DRQ:
                assert host.status() & ERR
                assert host.read(ERROR) == UNC
                assert host.address() == number, "the address is that of the sector that failed"
                return
            data = host.take(512)
            assert data in self.now[number], f"sector {number}"
            self.now[number] = {data}
        assert not host.status() & (ERR | DRQ)

    def write(self, host: Host, first: int, count: int, version: int) -> None:
        host.command(WRITE, lba=first, count=count)
        for number in range(first, first + count):
            if self.read_only:
                assert host.read(ERROR) == ABRT
                return
            assert host.read(7) & DRQ
            host.give(sector(number, version))
            if not self.snapshot:
                self.safe[number].add(sector(number, version))
            if host.status() & ERR:
                assert host.read(ERROR) == ABRT
                self.now[number].add(sector(number, version))
                return
            self.now[number] = {sector(number, version)}
        if not self.cache:
            self.flushed()

    def flush_by(self, host: Host, code: int, features: int = 0) -> None:
        host.command(code, features=features)
        if host.status() & ERR:
            assert host.read(ERROR) == ABRT
        else:
            self.flushed()

    def flushed(self) -> None:
        if not self.snapshot:
            self.safe = [set(values) for values in self.now]


def block(number: int) -> bytes:
    return bytes([number]) * 2048


class CdromScenario:
    """A guest that reads a disc block by block, and raw; the sense data names the block that failed."""

    def prepare(self, folder: Path) -> None:
        self.path = folder / "disc"
        self.path.write_bytes(b"".join(block(number) for number in range(40)))

    def act(self) -> None:
        disc = open_cdrom(self.path)
        host = Host(AtapiCdrom(disc))
        host.packet(b"\0")
        plain = b"".join(block(number) for number in range(2, 38))
        raw = b"".join(raw_sector(number, block(number)) for number in range(2, 38))
        for packet, whole, size in (
            (b"\x28\0\0\0\0\2\0\0\x24", plain, 2048),
            (b"\xbe\0\0\0\0\2\0\0\x24\xf8", raw, 2352),
        ):
            data = host.packet(packet)
            assert whole.startswith(data)
            assert len(data) % size == 0
            assert (len(data) == len(whole)) == (not host.status() & ERR)
            if host.status() & ERR:
                sense = host.packet(b"\x03\0\0\0\x12")
                assert (sense[2], sense[12]) == (3, 0x11)
                assert int.from_bytes(sense[3:7], "big") == 2 + len(data) // size
                assert disc.last_errno in errno.errorcode
        disc.close()

    def check(self, error: HyperportError | None) -> None:
        assert self.path.read_bytes()[::2048] == bytes(range(40))
        disc = open_cdrom(self.path)
        assert disc.read_sectors(8, 4) == block(2)
        disc.close()
