# SPDX-License-Identifier: GPL-2.0-or-later
"""Options of what is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from hyperport.errors import UsageError
from hyperport.options import FILE, FILES, Kind, Option, parse_number

NBD: Final = "nbd:"  # how the address of an NBD server begins
FLAT_MODES: Final = ("real", "protected")


def parse_flat(text: str) -> tuple[int, str]:
    """ADDR,MODE of a raw image: where it is loaded and entered, and in which mode."""
    address, comma, mode = text.partition(",")
    if not comma or mode not in FLAT_MODES:
        raise UsageError(f"flat image {text!r}: write ADDR,MODE with mode {' or '.join(FLAT_MODES)}, as 0x7c00,real")
    return parse_number(address, "flat image: address"), mode


def parse_module(text: str) -> tuple[Path, str]:
    """FILE[,ARGUMENTS] of a multiboot module."""
    path, _, arguments = text.partition(",")
    if not path:
        raise UsageError(f"module {text!r}: write FILE or FILE,ARGUMENTS")
    return Path(path), arguments


def _module(given: Any) -> tuple[Path, str]:
    """(file, arguments), or the file alone."""
    return (given, "") if isinstance(given, Path) else (Path(given[0]), given[1])


def _image(text: str) -> Path | str:
    """FILE[,SETTINGS], or the address of an NBD server."""
    return text if text.startswith(NBD) else Path(text)


IMAGE: Final = Kind(_image, take=Path)
OPTIONS: Final = (
    Option(
        "kernel",
        "a Linux bzImage or zImage, a Multiboot kernel, or with `--flat` a raw image; another file is refused by its "
        "name, with what to do",
        FILE,
        metavar="FILE",
        short="k",
        values=FILES,
    ),
    Option(
        "image",
        "an image to start, also without `--image`: a floppy, CD-ROM or hard disk, by firmware, or a kernel; with the "
        "settings of `--floppy` or `--disk`",
        IMAGE,
        metavar="FILE",
        values=FILES,
        see="Images and firmware",
    ),
    Option("initrd", "initial RAM disk for Linux", FILE, metavar="FILE", short="i", values=FILES),
    Option(
        "append",
        "the kernel's command line; a Multiboot kernel gets the name of its file before it, as from GRUB and qemu",
        metavar="TEXT",
        dashes=True,
        default="",
    ),
    Option(
        "module",
        "a Multiboot module; may be repeated",
        Kind(parse_module, take=_module),
        metavar="FILE[,ARGUMENTS]",
        word="modules",
        many=True,
        values=FILES,
    ),
    Option(
        "flat",
        "load the kernel as it is at ADDR and enter it there, MODE `real` or `protected`",
        Kind(parse_flat, take=tuple),
        metavar="ADDR,MODE",
    ),
)
