# SPDX-License-Identifier: GPL-2.0-or-later
"""Opens floppy images: which medium one is, by its size and what is in it, and images made of folders.

An image whose size is a format's is that medium. One of another size is what its boot sector says (the BIOS parameter
block of a FAT file system), or else the smallest common medium that it fits on. What is shorter than its medium, as a
boot sector alone, lies in memory with zeros behind it, and is write-protected.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from hyperport.errors import ConfigError, HostError
from hyperport.host.disk import SECTOR_BYTES, Disk, MemoryDisk
from hyperport.host.specs import DRIVE_3, DRIVE_3_ED, DRIVE_5, DiskSpec, FloppySpec

RATES: Final = {500: 0, 300: 1, 250: 2, 1000: 3}  # kbit/s -> as in the controller's registers


class Medium(NamedTuple):
    """A format: cylinders, heads, sectors a track; the drive that it needs, and the data rate there in kbit/s."""

    cylinders: int
    heads: int
    sectors: int
    drive: int
    kbits: int

    @property
    def size(self) -> int:
        """In bytes."""
        return self.cylinders * self.heads * self.sectors * SECTOR_BYTES

    @property
    def geometry(self) -> tuple[int, int, int, int]:
        """As FloppyDrive takes it."""
        return self.cylinders, self.heads, self.sectors, RATES[self.kbits]


MEDIA: Final = (
    Medium(40, 1, 8, DRIVE_5, 300),  # 160 KB
    Medium(40, 1, 9, DRIVE_5, 300),
    Medium(40, 2, 8, DRIVE_5, 300),
    Medium(40, 2, 9, DRIVE_5, 300),  # 360 KB
    Medium(80, 2, 8, DRIVE_3, 250),  # 640 KB
    Medium(80, 2, 9, DRIVE_3, 250),  # 720 KB
    Medium(80, 2, 10, DRIVE_3, 250),
    Medium(80, 2, 15, DRIVE_5, 500),  # 1.2 MB
    Medium(80, 2, 18, DRIVE_3, 500),  # 1.44 MB
    Medium(82, 2, 18, DRIVE_3, 500),
    Medium(80, 2, 20, DRIVE_3, 500),
    Medium(80, 2, 21, DRIVE_3, 500),  # 1.68 MB
    Medium(82, 2, 21, DRIVE_3, 500),
    Medium(83, 2, 21, DRIVE_3, 500),
    Medium(80, 2, 36, DRIVE_3_ED, 1000),  # 2.88 MB
)
BY_SIZE: Final = {medium.size: medium for medium in MEDIA}
COMMON: Final = (Medium(80, 2, 18, DRIVE_3, 500), Medium(80, 2, 36, DRIVE_3_ED, 1000))
LARGEST: Final = max(BY_SIZE)


def medium_of(size: int, boot: bytes) -> Medium | None:
    """Which medium an image of size bytes is that begins with boot; None if it is on no floppy."""
    if size in BY_SIZE:
        return BY_SIZE[size]
    told = int.from_bytes(boot[19:21], "little") * SECTOR_BYTES
    if int.from_bytes(boot[11:13], "little") == SECTOR_BYTES and told in BY_SIZE and size <= told:
        return BY_SIZE[told]
    return next((medium for medium in COMMON if 0 < size <= medium.size), None)


def open_floppy(spec: FloppySpec) -> tuple[Disk, Medium]:
    """The image or folder that spec names, and what it is. Raises ConfigError with one line that says what to do."""
    path = spec.path
    if path is None:
        raise ConfigError("floppy: name an image or a folder")
    if path.is_dir():
        from hyperport.host.fat12 import image_of

        return _in_memory(image_of(path), COMMON)
    from hyperport.host.disk_image import first_bytes, open_disk

    try:
        size = path.stat().st_size
        boot = first_bytes(path, SECTOR_BYTES)
    except OSError as error:
        hint = f"; make one with: truncate -s 1440K {path}" if isinstance(error, FileNotFoundError) else ""
        raise ConfigError(f"floppy {path}: {error.strerror}{hint}") from None
    medium = medium_of(size, boot)
    if medium is None:
        raise ConfigError(
            f"floppy {path}: {size} bytes are no floppy (160 KB to 2.88 MB): attach it with --disk or --cdrom"
        )
    if size < medium.size:
        try:
            return _in_memory(path.read_bytes(), (medium,))
        except OSError as error:
            raise ConfigError(f"floppy {path}: {error.strerror}") from None
    try:
        return open_disk(DiskSpec(path=path, read_only=spec.read_only)), medium
    except ConfigError as error:
        raise ConfigError(str(error).replace(f"disk {path}", f"floppy {path}", 1)) from None


def _in_memory(data: bytes, media: tuple[Medium, ...]) -> tuple[Disk, Medium]:
    medium = next(medium for medium in media if len(data) <= medium.size)
    disk = MemoryDisk(medium.size)
    try:
        disk.write_sectors(0, data.ljust(medium.size, b"\0"))
    except HostError as error:
        raise ConfigError(f"floppy: {error}") from None
    disk.protect()
    return disk, medium
