# SPDX-License-Identifier: GPL-2.0-or-later
"""A folder as a CD-ROM: ISO 9660 with Rock Ridge and Joliet, written by pycdlib.

Three names for each file: one of 8.3 for DOS, Rock Ridge's for Unix with its mode, Joliet's for Windows. The same
folder gives the same bytes whenever it is made: files come in the order of their names, dates are those of the files,
in UTC, and the dates of the volume are the newest of them. Sources: ECMA-119 (3rd edition), 8.4 and 9.1; Joliet
Specification (Microsoft, 1995); IEEE P1282 (Rock Ridge), 4.1.6.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from stat import S_IFDIR, S_IFREG
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from hyperport.errors import ConfigError

if TYPE_CHECKING:
    from pycdlib import PyCdlib

SECTOR: Final = 2048
LARGEST: Final = 4 << 30  # bytes of all files
MOST_FILES: Final = 50_000  # with folders; a path table counts folders in 16 bits
DEEPEST: Final = 32
LONGEST_JOLIET: Final = 64  # UCS-2 characters
JOLIET_ILLEGAL: Final = str.maketrans(dict.fromkeys("*/:;?\\", "_"))
BASE, EXTENSION = 8, 3  # characters of a name that DOS reads
FIRST_DESCRIPTOR: Final = 16 * SECTOR
PRIMARY, SUPPLEMENTARY, TERMINATOR = 1, 2, 255  # kinds of descriptors
VOLUMES: Final = (PRIMARY, SUPPLEMENTARY)
VOLUME_DATES: Final = (813, 830, 864)  # where a descriptor says when it was made, changed, and is valid from
OLDEST, NEWEST = -2208988800, 5869583999  # seconds of a directory record's years, 1900 to 2155
TIMES: Final = ("access_time", "modification_time", "attribute_change_time")  # of Rock Ridge's TF


@dataclass(slots=True)
class _Node:
    """A file or folder. below: what is in a folder, None for a file."""

    path: Path
    mtime: float
    mode: int
    below: list[_Node] | None


class _Walk:
    """The folder's tree, counted while it is read. Raises OSError and ConfigError."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.files, self.room = folder, 0, LARGEST
        self.top = self._node(folder, ())

    def _refuse(self, why: str) -> ConfigError:
        return ConfigError(f"cdrom {self.folder}: {why}")

    def _node(self, path: Path, above: tuple[tuple[int, int], ...]) -> _Node:
        told = path.stat()
        if not path.is_dir():
            self.room -= told.st_size
            if self.room < 0:
                raise self._refuse(f"its files are more than {LARGEST >> 30} GiB; make a disk image of it")
            with path.open("rb"):  # or say now that it cannot be read
                return _Node(path, told.st_mtime, told.st_mode & 0o555, None)
        here = (told.st_dev, told.st_ino)
        if here in above:
            raise self._refuse(f"{path} leads back to a folder that it is in; remove that link")
        if len(above) > DEEPEST:
            raise self._refuse(f"folders are more than {DEEPEST} deep")
        return _Node(path, told.st_mtime, 0o555, list(self._below(path, (*above, here))))

    def _below(self, path: Path, above: tuple[tuple[int, int], ...]) -> Iterator[_Node]:
        for child in sorted(path.iterdir()):
            try:
                child.name.encode()
            except UnicodeEncodeError:
                raise self._refuse(f"the name {os.fsencode(child.name)!r} in it is not UTF-8; rename it") from None
            if not child.is_dir() and not child.is_file():
                continue  # a device, a socket or a link to nowhere
            self.files += 1
            if self.files > MOST_FILES:
                raise self._refuse(f"there are more than {MOST_FILES} files in it; make a disk image of it")
            yield self._node(child, above)


class _Names:
    """Names that no two files of one folder share."""

    def __init__(self) -> None:
        self.dos: set[str] = set()
        self.joliet: set[str] = set()

    def for_dos(self, name: str, *, folder: bool) -> str:
        """Of 8.3 characters, in capitals, digits and underscores."""
        stem, _, extension = (name, "", "") if folder or name.rfind(".") < 1 else name.rpartition(".")
        base, kind = (
            "".join(c if c.isascii() and c.isalnum() else "_" for c in part.upper()) for part in (stem, extension)
        )
        end = "" if folder else f".{kind[:EXTENSION]}"
        return self._unique(self.dos, base, end, BASE)

    def for_joliet(self, name: str) -> str:
        """Of 64 characters of UCS-2."""
        legal = "".join(c if c <= "\uffff" else "_" for c in name.translate(JOLIET_ILLEGAL))
        stem, dot, extension = legal.rpartition(".") if legal.rfind(".") > 0 else (legal, "", "")
        end = f"{dot}{extension}"[: LONGEST_JOLIET // 2]
        return self._unique(self.joliet, stem, end, LONGEST_JOLIET - len(end))

    @staticmethod
    def _unique(taken: set[str], base: str, end: str, room: int) -> str:
        made, number = base[:room] + end, 0
        while made.upper() in taken:
            number += 1
            made = f"{base[: room - len(str(number))]}{number}{end}"
        taken.add(made.upper())
        return made


def write_folder(folder: Path, out: BinaryIO) -> None:
    """Write the image of a folder. Raises ConfigError with one line if it cannot be read, written or told on a CD."""
    from pycdlib import PyCdlib, pycdlibexception

    iso = PyCdlib()
    try:
        top = _Walk(folder).top
        iso.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident="HYPERPORT", app_ident_str="HYPERPORT")
        dates: dict[int, float] = {}
        _add(iso, top, "", "", dates)
        for volume in (iso.pvd, iso.joliet_vd):
            assert volume is not None
            _date_records(volume.root_directory_record(), top.mtime, dates)
        iso.write_fp(out)
        iso.close()
        _date_volumes(out, max((top.mtime, *dates.values())))
    except OSError as error:
        raise ConfigError(f"cdrom {folder}: {error.filename or folder}: {error.strerror}") from None
    except pycdlibexception.PyCdlibException as error:
        raise ConfigError(f"cdrom {folder}: no CD can be made of it: {error}") from None


def _add(iso: PyCdlib, folder: _Node, place: str, joliet: str, dates: dict[int, float]) -> None:
    """Add what is in a folder, whose own paths are place and joliet; dates gets the date of each record, by its id."""
    names = _Names()
    for node in folder.below or ():
        name, is_folder = node.path.name, node.below is not None
        at = f"{place}/{names.for_dos(name, folder=is_folder)}"
        at_joliet = f"{joliet}/{names.for_joliet(name)}"
        if is_folder:
            iso.add_directory(at, name, at_joliet, S_IFDIR | node.mode)
            _add(iso, node, at, at_joliet, dates)
        else:
            iso.add_file(str(node.path), f"{at};1", name, at_joliet, S_IFREG | node.mode)
        for record in (iso.get_record(iso_path=at if is_folder else f"{at};1"), iso.get_record(joliet_path=at_joliet)):
            dates[id(record)] = node.mtime


def _date_records(folder: Any, mtime: float, dates: dict[int, float]) -> None:
    """Give a folder's record and all below it their dates. "." and "..", and what pycdlib adds, have the folder's."""
    _date_record(folder, mtime)
    for child in folder.children:
        if child.isdir and not child.is_dot() and not child.is_dotdot():
            _date_records(child, dates.get(id(child), mtime), dates)
        else:
            _date_record(child, dates.get(id(child), mtime))


def _date_record(record: Any, mtime: float) -> None:
    from pycdlib.dates import DirectoryRecordDate

    when = time.gmtime(min(max(mtime, OLDEST), NEWEST))
    date = DirectoryRecordDate()
    date.parse(struct.pack("7B", when.tm_year - 1900, *when[1:6], 0))
    record.date = date
    ridge = record.rock_ridge
    for entries in () if ridge is None else (ridge.dr_entries, ridge.ce_entries):
        if entries is not None and entries.tf_record is not None:
            for name in TIMES:
                if getattr(entries.tf_record, name) is not None:
                    setattr(entries.tf_record, name, date)


def _date_volumes(out: BinaryIO, mtime: float) -> None:
    """Give the volume descriptors this date, where pycdlib has put the time of day."""
    date = time.strftime("%Y%m%d%H%M%S00", time.gmtime(min(max(mtime, OLDEST), NEWEST))).encode() + b"\0"
    at, kind = FIRST_DESCRIPTOR, 0
    while kind != TERMINATOR:
        out.seek(at)
        kind = out.read(1)[0]
        for place in VOLUME_DATES if kind in VOLUMES else ():
            out.seek(at + place)
            out.write(date)
        at += SECTOR
    out.flush()
