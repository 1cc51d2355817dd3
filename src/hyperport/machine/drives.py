# SPDX-License-Identifier: GPL-2.0-or-later
"""Which image becomes which of a PC's drives: four on the IDE channels, two on the floppy controller."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from hyperport.devices.ata_drive import AtaDrive
from hyperport.devices.atapi_cdrom import AtapiCdrom
from hyperport.devices.floppy_drive import FloppyDrive
from hyperport.devices.ide_drive import IdeDrive
from hyperport.errors import ConfigError, HostError
from hyperport.host.disk import Disk
from hyperport.host.floppy_image import Medium, open_floppy
from hyperport.host.specs import DRIVE_3, DRIVE_3_ED, FLOPPY_DRIVES, DiskSpec, FloppySpec

USUAL_GEOMETRY: Final = (16, 63)  # heads, sectors a track
PARTITIONS: Final = range(446, 510, 16)  # where the entries of an MBR lie
ENTRY: Final = struct.Struct("<8BII")  # flag, first head, sector, cylinder; kind, last ones; first sector, sectors
BOOT_SIGNATURE: Final = b"\x55\xaa"
PLACES: Final = ("hda", "hdb", "hdc", "hdd")  # first and second drive of the primary channel, then of the secondary
CDROM_PLACES: Final = (2, 3, 0, 1)  # in this order, where no disk is
FLOPPY_PLACES: Final = ("fda", "fdb")  # A and B

# What an AT's setup stores of hda and hdb in CMOS RAM (IBM AT Technical Reference, "CMOS RAM"); from 1Bh on as other
# BIOSes have it, for the types that a user describes. Old systems look here whether a disk is there at all.
DISK_TYPES: Final = 0x12  # hda in bits 7 to 4, hdb in 3 to 0
EXTENDED: Final = 0xF  # the type is in one of:
EXTENDED_TYPES: Final = (0x19, 0x1A)
USER_TYPE: Final = 47
DESCRIBED: Final = (0x1B, 0x24)  # first byte of hda's description, and of hdb's
DESCRIPTION: Final = struct.Struct("<HBHBHB")  # cylinders, heads, precompensation, control, landing zone, sectors
PARAMETERS: Final = struct.Struct("<HB2xHxB3xHBx")  # the same in a BIOS's table, which has room for what is of no use
NO_PRECOMPENSATION: Final = 0xFFFF
NO_RETRIES: Final = 0xC0  # control byte, as in 3F6h: the drive tries again itself
MORE_THAN_8_HEADS: Final = 0x08
MOST_CYLINDERS: Final = 16383  # as in IDENTIFY DEVICE


class Drives:
    """Four places for disks and CD-ROMs, two for floppies, some with a drive in it. images: what is open, by place.

    Raises ConfigError for an image that cannot be used.
    """

    def __init__(
        self,
        disks: Sequence[DiskSpec] = (),
        cdroms: Sequence[Path | str] = (),
        floppies: Sequence[FloppySpec] = (),
    ) -> None:
        if len(disks) + len(cdroms) > len(PLACES):
            raise ConfigError(f"{len(disks)} disks and {len(cdroms)} CD-ROMs: there are {len(PLACES)} drives in all")
        if len(floppies) > len(FLOPPY_PLACES):
            raise ConfigError(f"{len(floppies)} floppies: there are two drives, A and B")
        self.images: dict[str, Disk] = {}
        self.paths: dict[str, Path] = {}  # of the images
        self.geometries: dict[str, tuple[int, int]] = {}  # of hard disks: heads, sectors a track
        drives: list[IdeDrive | None] = [None] * len(PLACES)
        if disks or cdroms:
            from hyperport.host.disk_image import open_cdrom, open_disk
        for place, spec in enumerate(disks):
            image = self.images[PLACES[place]] = open_disk(spec)
            self.paths[PLACES[place]] = spec.path
            geometry = self.geometries[PLACES[place]] = geometry_of(image)
            drives[place] = AtaDrive(image, f"HP{place + 1:08}", geometry)
        self.cdroms: dict[str, Path | str] = {}  # the last disc of each such drive
        self.floppy_specs = dict(zip(FLOPPY_PLACES, floppies, strict=False))  # and the last floppy
        free = [place for place in CDROM_PLACES if place >= len(disks)]
        for place, path in zip(free, cdroms, strict=False):
            image = self.images[PLACES[place]] = open_cdrom(path)
            self.paths[PLACES[place]] = Path(path)
            self.cdroms[PLACES[place]] = path
            drives[place] = AtapiCdrom(image)
        self.primary = (drives[0], drives[1])
        self.secondary = (drives[2], drives[3])
        floppy_drives = [self._floppy_drive(place, spec) for place, spec in zip(FLOPPY_PLACES, floppies, strict=False)]
        self.floppies = (*floppy_drives, None, None)[:2]

    def _floppy_drive(self, place: str, spec: FloppySpec) -> FloppyDrive:
        """The drive that was asked for, or that the medium needs; without one it is of 1.44 MB."""
        if spec.path is None:
            return FloppyDrive(spec.drive or DRIVE_3)
        image, medium = _open_fitting(place, spec, spec.drive)
        self.images[place], self.paths[place] = image, Path(spec.path)
        return FloppyDrive(spec.drive or medium.drive, image, medium.geometry)

    def disk_sizes(self) -> tuple[int, ...]:
        """Sectors of what is in each of the four places: 0 where no hard disk is."""
        drives = self.primary + self.secondary
        return tuple(
            self.images[place].sectors if isinstance(drive, AtaDrive) else 0
            for place, drive in zip(PLACES, drives, strict=True)
        )

    def disk_setup(self) -> dict[int, int]:
        """CMOS bytes, by register, that tell of hda and hdb; none where no hard disk is."""
        found: dict[int, int] = {}
        for place, register, at, shift in zip(PLACES[:2], EXTENDED_TYPES, DESCRIBED, (4, 0), strict=True):
            if place not in self.geometries:
                continue
            found[DISK_TYPES] = found.get(DISK_TYPES, 0) | EXTENDED << shift
            found[register] = USER_TYPE
            found.update(enumerate(DESCRIPTION.pack(*self._parameters(place)), at))
        return found

    def disk_tables(self) -> list[bytes]:
        """Of hda and hdb what INT 41h and 46h point to; empty where no hard disk is."""
        return [PARAMETERS.pack(*self._parameters(place)) if place in self.geometries else b"" for place in PLACES[:2]]

    def _parameters(self, place: str) -> tuple[int, ...]:
        """Of a hard disk, in the order of DESCRIPTION."""
        heads, track = self.geometries[place]
        cylinders = max(1, min(self.images[place].sectors // (heads * track), MOST_CYLINDERS))
        control = NO_RETRIES | (MORE_THAN_8_HEADS if heads > 8 else 0)
        return cylinders, heads, NO_PRECOMPENSATION, control, cylinders, track

    def floppy_kinds(self) -> tuple[int, int]:
        """Drives A and B as CMOS byte 10h has them."""
        first, second = (0 if drive is None else drive.kind for drive in self.floppies)
        return first, second

    def change_floppy(self, place: str, path: Path | str | None, *, read_only: bool = False) -> None:
        """Put another floppy, an image or a folder, or none, into drive "fda" or "fdb", while the guest does not run.

        Raises ConfigError for a place without a drive, and for an image that cannot be used or does not fit into the
        drive, which is then empty.
        """
        drive = dict(zip(FLOPPY_PLACES, self.floppies, strict=True)).get(place)
        if drive is None:
            raise ConfigError(f"{place}: no floppy drive is there; start with --floppy FILE or --floppy none")
        drive.insert(None)
        self._forget(place)
        if path is None:
            return
        spec = FloppySpec(path=path, read_only=read_only)
        image, medium = _open_fitting(place, spec, drive.kind)
        drive.insert(image, medium.geometry)
        self.images[place], self.paths[place] = image, Path(path)
        self.floppy_specs[place] = spec

    def floppies_now(self) -> list[FloppySpec]:
        """What the drives would be built with to be what they are: the last floppy of each, and its kind."""
        return [
            replace(spec, drive=drive.kind)
            for spec, drive in zip(self.floppy_specs.values(), self.floppies, strict=False)
            if drive is not None
        ]

    def _forget(self, place: str) -> None:
        if place in self.images:
            self.images.pop(place).close()
            self.paths.pop(place, None)

    def change_disc(self, place: str, path: Path | None) -> bool:
        """Lay another disc, or none, into a CD-ROM drive, while the guest does not run. False if it is locked.

        Raises ConfigError for a place without such a drive and for an image that cannot be used.
        """
        drive = dict(zip(PLACES, self.primary + self.secondary, strict=True)).get(place)
        if not isinstance(drive, AtapiCdrom):
            raise ConfigError(f"{place}: no CD-ROM drive is there; start with --cdrom FILE")
        from hyperport.host.disk_image import open_cdrom

        image = open_cdrom(path) if path is not None else None
        if not drive.insert(image):
            if image is not None:
                image.close()
            return False
        self._forget(place)
        if path is not None and image is not None:
            self.images[place], self.paths[place] = image, path
            self.cdroms[place] = path
        return True

    def empty_others(self, places: Iterable[str]) -> None:
        """Take floppies and discs out of all drives but these; disks stay."""
        for place in [place for place in self.images if place not in places]:
            if place in FLOPPY_PLACES:
                self.change_floppy(place, None)
            elif place in self.cdroms:
                self.change_disc(place, None)

    def trouble(self) -> list[str]:
        """One line for each drive whose image the host could not read or write."""
        return [
            f"{place}: {image.failures} requests failed, the last one with: {os.strerror(image.last_errno)}"
            for place, image in self.images.items()
            if image.failures
        ]

    def close(self) -> None:
        """Finish all images, unlocked. Raises HostError if one cannot be finished, after closing the others."""
        errors = []
        for drive in self.floppies:
            if drive is not None:
                drive.flush()
        for place, image in self.images.items():
            try:
                image.close()
            except HostError as error:
                errors.append(f"{place}: {error}; what the guest wrote after its last flush may be lost")
        if errors:
            raise HostError("; ".join(errors))


def geometry_of(image: Disk) -> tuple[int, int]:
    """Heads and sectors a track of a hard disk: of old, small ones as the partition table tells them, else 16 and 63.

    Old systems start by cylinder, head and sector, counted by the disk that they were installed on. A partition ends
    with a cylinder, so its last head and sector are of that count; it is taken if the cylinder fits, too.
    """
    try:
        table = image.read_sectors(0, 1)
    except HostError:  # the guest will hear of it
        return USUAL_GEOMETRY
    if table[510:512] != BOOT_SIGNATURE:
        return USUAL_GEOMETRY
    for at in PARTITIONS:
        _, _, _, _, kind, head, packed, cylinder, first, length = ENTRY.unpack_from(table, at)
        heads, track = head + 1, packed & 0x3F
        last = ((cylinder | (packed & 0xC0) << 2) * heads + head) * track + track - 1
        if kind and length and track and heads <= USUAL_GEOMETRY[0] and last == first + length - 1:
            return heads, track
    return USUAL_GEOMETRY


def _open_fitting(place: str, spec: FloppySpec, drive: int | None) -> tuple[Disk, Medium]:
    """The floppy that spec names. Raises ConfigError if a drive of that kind does not take it."""
    image, medium = open_floppy(spec)
    if drive is not None and not fits(medium, drive):
        image.close()
        raise ConfigError(
            f"{place}: {spec.path} is for a drive of {FLOPPY_DRIVES[medium.drive]}, and this one is of"
            f" {FLOPPY_DRIVES[drive]}"
        )
    return image, medium


def fits(medium: Medium, drive: int) -> bool:
    """Whether a drive of that kind takes the medium: one of 2.88 MB takes those of 1.44 MB, too."""
    return medium.drive == drive or (drive == DRIVE_3_ED and medium.drive == DRIVE_3)
