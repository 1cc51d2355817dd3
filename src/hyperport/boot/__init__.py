# SPDX-License-Identifier: GPL-2.0-or-later
"""Loaders: each puts an image into a guest's RAM and returns the processor's state at its entry."""

from __future__ import annotations

from typing import Literal

from hyperport.boot.flat import load_flat
from hyperport.boot.linux import is_linux, load_linux
from hyperport.boot.multiboot import ELF_MAGIC, find_header, load_multiboot

__all__ = ["Kind", "detect", "load_flat", "load_linux", "load_multiboot"]

Kind = Literal["linux", "multiboot", "flat"]


def detect(image: bytes) -> Kind:
    """Which loader an image is for; its first 8 KiB are enough.

    An ELF file is for the Multiboot loader even without a header: that one can say what is missing.
    """
    if is_linux(image):
        return "linux"
    if find_header(image) is not None or image.startswith(ELF_MAGIC):
        return "multiboot"
    return "flat"
