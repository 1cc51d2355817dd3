# SPDX-License-Identifier: GPL-2.0-or-later
"""How far each image of the gallery comes by itself: a text on its screen or its console. For tests and comparisons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hyperport.guests.image_recipes import ON_DISK_SAYS
from hyperport.guests.initramfs import READY


@dataclass(frozen=True, slots=True)
class State:
    """text: what appears, on the serial console or on the screen. quick: within two seconds of CPU time."""

    text: str
    on_console: bool = False
    quick: bool = False


GALLERY: Final[dict[str, State]] = {
    "grub-floppy": State("Use the ↑ and ↓ keys"),
    "grub-cd": State("Use the ↑ and ↓ keys", quick=True),
    "grub-multiboot": State("hyperport demo guest", on_console=True, quick=True),
    "grub-debian": State(READY, on_console=True),
    "grub-disk": State(ON_DISK_SAYS, on_console=True),
    "isolinux": State(READY, on_console=True),
    "ipxe": State("No more network devices", quick=True),
    "ipxe-lkrn": State("No more network devices"),
    "memdisk": State("Use the ↑ and ↓ keys"),
    "memtest-cd": State("Pass  0%"),
    "debian-installer": State("Select a language"),
}
