# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads files out of ISO 9660 images, and makes images that a BIOS starts (El Torito); by pycdlib."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from hyperport.errors import FetchError

BOOT_SECTORS: Final = 4  # of 512 bytes, that a BIOS loads of a boot image; the rest it loads itself
CATALOGUES: Final = ("boot.cat", "boot.catalog")  # of El Torito: of the image, not of the files in it


def read_iso(image: bytes, what: str) -> dict[str, bytes]:
    """The files of an image with Rock Ridge names: path without a leading slash -> contents. Raises FetchError."""
    from pycdlib import PyCdlib, pycdlibexception

    files = {}
    iso = PyCdlib()
    try:
        iso.open_fp(io.BytesIO(image))
        for folder, _, names in iso.walk(rr_path="/"):
            for name in names:
                if name not in CATALOGUES:
                    out = io.BytesIO()
                    iso.get_file_from_iso_fp(out, rr_path=f"{folder.rstrip('/')}/{name}")
                    files[f"{folder}/{name}".lstrip("/")] = out.getvalue()
        iso.close()
    except pycdlibexception.PyCdlibException as error:
        raise FetchError(f"{what}: not a whole ISO 9660 image ({error}); fetch it again") from None
    return files


def write_iso(path: Path, files: Mapping[str, bytes], boot: str) -> None:
    """Make an image of files (path -> contents, with Rock Ridge names); boot: the one that a BIOS starts."""
    from pycdlib import PyCdlib

    iso = PyCdlib()
    iso.new(interchange_level=3, rock_ridge="1.09", vol_ident="HYPERPORT")
    places = {"": ""}  # folder -> its name in ISO 9660, which has no long names

    def folder_of(name: str) -> str:
        if name not in places:
            above, _, last = name.rpartition("/")
            places[name] = f"{folder_of(above)}/D{len(places):06}"
            iso.add_directory(places[name], rr_name=last)
        return places[name]

    for number, (name, data) in enumerate(files.items()):
        folder, _, last = name.rpartition("/")
        place = f"{folder_of(folder)}/F{number:06}.;1"
        iso.add_fp(io.BytesIO(data), len(data), place, rr_name=last)
        if name == boot:
            start = place
    iso.add_eltorito(start, boot_load_size=BOOT_SECTORS, boot_info_table=True)
    iso.write(str(path))
    iso.close()
