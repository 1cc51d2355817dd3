# SPDX-License-Identifier: GPL-2.0-or-later
"""Which image becomes which of a PC's four drives."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hyperport.devices.ata_drive import AtaDrive
from hyperport.devices.atapi_cdrom import AtapiCdrom
from hyperport.devices.ide_drive import IdeDrive
from hyperport.errors import ConfigError, HostError
from hyperport.host.disk import Disk
from hyperport.host.specs import DiskSpec

PLACES: Final = ("hda", "hdb", "hdc", "hdd")  # first and second drive of the primary channel, then of the secondary
CDROM_PLACES: Final = (2, 3, 0, 1)  # in this order, where no disk is


class Drives:
    """Four places, some with a drive in it. Raises ConfigError for an image that cannot be used."""

    def __init__(self, disks: Sequence[DiskSpec] = (), cdroms: Sequence[Path | str] = ()) -> None:
        if len(disks) + len(cdroms) > len(PLACES):
            raise ConfigError(f"{len(disks)} disks and {len(cdroms)} CD-ROMs: there are {len(PLACES)} drives in all")
        self.images: dict[str, Disk] = {}
        self.paths: dict[str, Path] = {}  # of the images
        drives: list[IdeDrive | None] = [None] * len(PLACES)
        if disks or cdroms:
            from hyperport.host.disk_image import open_cdrom, open_disk
        for place, spec in enumerate(disks):
            image = self.images[PLACES[place]] = open_disk(spec)
            self.paths[PLACES[place]] = spec.path
            drives[place] = AtaDrive(image, serial=f"HP{place + 1:08}")
        free = [place for place in CDROM_PLACES if place >= len(disks)]
        for place, path in zip(free, cdroms, strict=False):
            image = self.images[PLACES[place]] = open_cdrom(path)
            self.paths[PLACES[place]] = Path(path)
            drives[place] = AtapiCdrom(image)
        self.primary = (drives[0], drives[1])
        self.secondary = (drives[2], drives[3])

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
        if place in self.images:
            self.images.pop(place).close()
            del self.paths[place]
        if path is not None and image is not None:
            self.images[place], self.paths[place] = image, path
        return True

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
        for place, image in self.images.items():
            try:
                image.close()
            except HostError as error:
                errors.append(f"{place}: {error}; what the guest wrote after its last flush may be lost")
        if errors:
            raise HostError("; ".join(errors))
