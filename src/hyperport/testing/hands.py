# SPDX-License-Identifier: GPL-2.0-or-later
"""What people do to a machine while it works: keys, a mouse, floppies and discs changed, a look at the screen.

Each is an Input of hyperport.testing.fuzz: given random bytes, it does something that they stand for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from hyperport.host.char import CharBackend
from hyperport.host.disk import SECTOR_BYTES, Disk, MemoryDisk
from hyperport.ui.mouse import EVENT

if TYPE_CHECKING:
    from hyperport.devices.atapi_cdrom import AtapiCdrom
    from hyperport.devices.floppy_drive import FloppyDrive
    from hyperport.ui.display import Display

Geometry = tuple[int, int, int, int]  # cylinders, heads, sectors, rate as in CCR

MOST_AT_ONCE: Final = 4  # bytes of scan codes, or events of the mouse
FLOPPIES: Final[tuple[Geometry, ...]] = ((80, 2, 18, 0), (80, 2, 9, 2))  # 1.44 MB, 720 KB
DISC_SECTORS: Final = (4 * 80, 4 * 400)  # of 512 bytes
ALL_OF_IT: Final = 0x0F  # every so many looks, by this mask, are at each pixel


class AtOnce:
    """What needs no room, because nothing of it waits."""

    def room(self) -> int:
        """As a CharBackend that is empty."""
        return CharBackend().room()


class Hands:
    """On the keyboard (typed: scan codes) and on the mouse (pointed: events)."""

    def __init__(self, typed: CharBackend, pointed: CharBackend) -> None:
        self.typed = typed
        self.pointed = pointed

    def room(self) -> int:
        """The least of the two."""
        return min(self.typed.room(), self.pointed.room())

    def feed(self, data: bytes) -> None:
        """Strike keys, or move the mouse: whole events, as its class sends them."""
        count = 1 + data[0] // 2 % MOST_AT_ONCE
        if data[0] & 1:
            self.typed.feed(data[1 : 1 + count])
        else:
            self.pointed.feed((data[1:] * EVENT.size)[: count * EVENT.size] if len(data) > EVENT.size else b"")


class FloppyChanger(AtOnce):
    """Takes media out of drives and puts others in, in the midst of what they do."""

    def __init__(self, drives: Sequence[FloppyDrive]) -> None:
        self.drives = drives
        self.media: list[tuple[Disk | None, Geometry]] = [(None, (0, 0, 0, 0))]
        self.media += [(MemoryDisk(c * h * s * SECTOR_BYTES), (c, h, s, rate)) for c, h, s, rate in FLOPPIES]

    def feed(self, data: bytes) -> None:
        """Change the medium of one drive."""
        which, drive = divmod(data[0], len(self.drives))
        self.drives[drive].insert(*self.media[which % len(self.media)])


class DiscChanger(AtOnce):
    """Presses the button of a CD-ROM drive, or lays in another disc."""

    def __init__(self, drive: AtapiCdrom) -> None:
        self.drive = drive
        sizes = (sectors * SECTOR_BYTES for sectors in DISC_SECTORS)
        self.discs: list[Disk | None] = [None, *(MemoryDisk(size, writable=False) for size in sizes)]

    def feed(self, data: bytes) -> None:
        """One of them; a locked drive does neither."""
        if data[0] & 1:
            self.drive.press_button()
        else:
            self.drive.insert(self.discs[data[0] // 2 % len(self.discs)])


class Viewer(AtOnce):
    """Looks at the screen, whatever its registers say that it shows."""

    def __init__(self, display: Display) -> None:
        self.display = display

    def feed(self, data: bytes) -> None:
        """Read the text, and now and then each pixel."""
        screen = self.display.screen()
        screen.text()
        if data[0] & ALL_OF_IT == 0:
            screen.picture().png()
