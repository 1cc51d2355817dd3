# SPDX-License-Identifier: GPL-2.0-or-later
"""What the files of fetched guests are called, in the table of guests and in the recipes that make them."""

from typing import Final

KERNEL: Final = "vmlinuz"
INITRAMFS: Final = "initramfs.cpio"
STAMP: Final = "initramfs"  # what recipes.stamp() gives has this name among the versions
MEMTEST: Final = "memtest86+ia32.bin"
BIOS: Final = "bios.bin"  # of 128 KiB: larger ones want a chipset of Intel's
VGA_BIOS: Final = "vgabios-isavga.bin"
CD: Final = "cd.iso"
FLOPPY: Final = "floppy.img"
DISK: Final = "disk.img"
IMAGE_FORMAT: Final = "1"  # raise it when a recipe makes another image of the same packages
