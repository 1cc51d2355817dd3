# SPDX-License-Identifier: GPL-2.0-or-later
"""Where SeaBIOS and its VGA BIOS are: the host's own, or what `hyperport fetch firmware` has brought.

Both are LGPLv3, and lie beside the program as data for the guest; no part of them is in hyperport.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from hyperport.errors import FetchError
from hyperport.guests.names import BIOS, VGA_BIOS
from hyperport.host.cache import cache_directory

NAME: Final = "firmware"
# Debian and Ubuntu, Fedora, Arch and Gentoo.
FOLDERS: Final = ("/usr/share/seabios", "/usr/share/seavgabios", "/usr/share/qemu", "/usr/share/qemu-kvm")
VGA_NAMES: Final = (VGA_BIOS, "vgabios-stdvga.bin")  # the first knows that there is no PCI


def find() -> Path:
    """SeaBIOS. Raises FetchError where it is not there, or its VGA BIOS is not."""
    bios = _first(BIOS)
    if bios is None or find_vga() is None:
        raise FetchError(f"SeaBIOS is not on this host ({BIOS}, {VGA_BIOS}); get it with: hyperport fetch {NAME}")
    return bios


def find_vga() -> Path | None:
    """Its VGA BIOS, which suits other firmware too."""
    return _first(*VGA_NAMES)


def _first(*names: str) -> Path | None:
    folders = [cache_directory() / "guests" / NAME, *map(Path, FOLDERS)]
    return next((path for folder in folders for name in names if (path := folder / name).is_file()), None)
