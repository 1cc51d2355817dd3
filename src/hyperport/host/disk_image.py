# SPDX-License-Identifier: GPL-2.0-or-later
"""Opens disk and CD-ROM images: checks them, locks them, and makes overlays. What reads and writes them: disk.pyx.

Locks are advisory (flock(2)) and held as long as the disk is open, so a process that dies leaves none behind. A disk
that is written is locked for one; one that is only read, a CD-ROM and the base of an overlay are shared by readers.

An overlay file begins with the record HEADER in a page of 4,096 bytes; numbers are little-endian. The map follows it,
a bit for each sector, lowest bit first, padded to pages; then the sectors, each at its own place in the sparse file.
docs/decisions/0013 says why.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import stat
import struct
import zlib
from pathlib import Path
from typing import Final

from hyperport.errors import ConfigError, HostError
from hyperport.host import nbd
from hyperport.host.disk import SECTOR_BYTES, Disk, OverlayDisk, RawDisk
from hyperport.host.specs import DiskSpec

CD_SECTOR_BYTES: Final = 2048
LARGEST: Final = (1 << 48) * SECTOR_BYTES  # what a 48-bit sector number reaches

STAMP_BYTES: Final = 6  # of a checksum; JSON has no numbers of 64 bits
PAGE: Final = 4096
MAGIC: Final = b"HPOVRLAY"
QCOW2: Final = b"QFI\xfb"
VERSION: Final = 1
# magic, version, bytes a sector, sectors, place of the map, its bytes, place of the sectors; then CRC-32 of these
HEADER: Final = struct.Struct("<8sIIQQQQ")
CHECKSUM: Final = struct.Struct("<I")


def open_disk(spec: DiskSpec) -> Disk:
    """The disk that spec describes. Raises ConfigError with one line that says what to do."""
    if nbd.is_nbd(spec.path) or _is_qcow2(spec.path):
        if spec.overlay is not None or spec.snapshot:
            raise ConfigError(f"disk {spec.path}: an overlay needs a raw image; use qemu-img create -b for qcow2")
        if nbd.is_nbd(spec.path):
            return nbd.connect(str(spec.path), read_only=spec.read_only)
        return nbd.open_qcow2(spec.path, read_only=spec.read_only)
    if spec.overlay is None and not spec.snapshot:
        fd, size, end = _open_image(spec.path, SECTOR_BYTES, "disk", write=not spec.read_only)
        return RawDisk(fd, size, not spec.read_only, end)
    base_fd, size, end = _open_image(spec.path, SECTOR_BYTES, "disk", write=False)
    try:
        fd = _snapshot(spec.path, size) if spec.overlay is None else _open_overlay(spec.overlay, spec.path, size)
    except BaseException:
        os.close(base_fd)
        raise
    try:
        disk = OverlayDisk(fd, base_fd, size, PAGE, _data_offset(size), not spec.snapshot, end)  # owns both files
    except HostError as error:
        raise ConfigError(f"disk {spec.path}: {error}") from None
    if spec.overlay is not None:
        try:
            disk.load_map()
        except HostError as error:
            disk.close()
            raise ConfigError(f"overlay {spec.overlay}: {error}; try again, or restore it from a copy") from None
    return disk


def _is_qcow2(path: Path) -> bool:
    try:
        return first_bytes(path, len(QCOW2)) == QCOW2
    except OSError:
        return False  # whoever opens it says why


def first_bytes(path: Path, count: int) -> bytes:
    """At most count bytes. Does not wait, as a FIFO would let a reader: there it has none. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        kind = os.fstat(fd).st_mode
        return _read_head(fd, count) if stat.S_ISREG(kind) or stat.S_ISBLK(kind) else b""
    finally:
        os.close(fd)


def open_cdrom(path: Path | str) -> Disk:
    """A CD-ROM image, or one made of a folder, as a read-only disk of sectors of 512 bytes. Raises ConfigError."""
    if Path(path).is_dir():
        return _open_folder(Path(path))
    fd, size, end = _open_image(Path(path), CD_SECTOR_BYTES, "cdrom", write=False)
    return RawDisk(fd, size, False, end)


class _FolderDisc(RawDisk):
    """A folder's image. What tells a restored machine that it is the same is its content, not when it was made."""

    def __init__(self, fd: int, size: int, writable: bool) -> None:
        super().__init__(fd, size, writable)
        with open(fd, "rb", closefd=False) as image:
            digest = hashlib.file_digest(image, "sha256").digest()
        self._content = int.from_bytes(digest[:STAMP_BYTES], "little")

    def stamps(self) -> list[tuple[int, int]]:
        return [(self.sectors * SECTOR_BYTES, self._content)]


def _open_folder(folder: Path) -> Disk:
    """Make the image in a file without a name."""
    import tempfile

    from hyperport.host.iso_folder import write_folder

    place = tempfile.gettempdir()
    try:
        fd = _nameless_file(place)
    except OSError as error:
        raise ConfigError(f"cdrom {folder}: no image in {place}: {error.strerror}; set TMPDIR to another") from None
    try:
        with open(fd, "w+b", closefd=False) as out:
            write_folder(folder, out)
        return _FolderDisc(fd, os.lseek(fd, 0, os.SEEK_SET) + os.fstat(fd).st_size, False)
    except BaseException:
        os.close(fd)
        raise


def _open_image(path: Path, unit: int, what: str, *, write: bool) -> tuple[int, int, int]:
    """A locked image: its file descriptor, its size in bytes as a whole number of units, and how many the file has.

    Images that people join of parts often end within a sector.
    """
    try:
        fd = os.open(path, (os.O_RDWR if write else os.O_RDONLY) | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        hint = {errno.ENOENT: f"; make one with: truncate -s 1G {path}" if what == "disk" else ""}
        hint |= dict.fromkeys((errno.EACCES, errno.EROFS), "; add ,ro or ,snapshot" if write else "")
        raise ConfigError(f"{what} {path}: {error.strerror}{hint.get(error.errno or 0, '')}") from None
    try:
        kind = os.fstat(fd).st_mode
        if not stat.S_ISREG(kind) and not stat.S_ISBLK(kind):
            raise ConfigError(f"{what} {path}: neither a file nor a block device; name an image")
        _lock(fd, path, what, write=write)
        end = os.lseek(fd, 0, os.SEEK_END)
        size = -(-end // unit) * unit
        if not 0 < size <= LARGEST:
            raise ConfigError(f"{what} {path}: {end} bytes; a disk has at least one, and at most {LARGEST}")
        head = _read_head(fd, len(MAGIC))
        if head == MAGIC:
            raise ConfigError(f"{what} {path}: this is an overlay; write --disk BASE,overlay={path}")
        if head[: len(QCOW2)] == QCOW2:
            raise ConfigError(f"{what} {path}: this is qcow2; convert it with qemu-img convert -O raw")
    except OSError as error:
        os.close(fd)
        raise ConfigError(f"{what} {path}: {error.strerror}; check the host's disk") from None
    except BaseException:
        os.close(fd)
        raise
    return fd, size, end


def _lock(fd: int, path: Path, what: str, *, write: bool) -> None:
    try:
        fcntl.flock(fd, (fcntl.LOCK_EX if write else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        wish = "it is to be written by one only" if write else "it must not be written while it is read here"
        raise ConfigError(f"{what} {path}: in use by a machine, and {wish}; end that one first") from None
    except OSError as error:
        raise ConfigError(f"{what} {path}: cannot be locked ({error.strerror}); put it on a local disk") from None


def _read_head(fd: int, size: int) -> bytes:
    """The first bytes of a file, fewer only if it has no more. Raises OSError."""
    head = b""
    while part := os.pread(fd, size - len(head), len(head)):
        head += part
    return head


def _map_bytes(size: int) -> int:
    return -(-size // SECTOR_BYTES // 8) // -PAGE * -PAGE


def _data_offset(size: int) -> int:
    return PAGE + _map_bytes(size)


def _header(size: int) -> bytes:
    fields = HEADER.pack(MAGIC, VERSION, SECTOR_BYTES, size // SECTOR_BYTES, PAGE, _map_bytes(size), _data_offset(size))
    return (fields + CHECKSUM.pack(zlib.crc32(fields))).ljust(PAGE, b"\0")


def _snapshot(path: Path, size: int) -> int:
    """An overlay file without a name: it goes when it is closed, whatever happens."""
    import tempfile

    folder = tempfile.gettempdir()
    try:
        fd = _nameless_file(folder)
        try:
            os.ftruncate(fd, _data_offset(size) + size)
        except BaseException:
            os.close(fd)
            raise
    except OSError as error:
        raise ConfigError(f"disk {path}: no snapshot in {folder}: {error.strerror}; set TMPDIR to another") from None
    return fd


def _nameless_file(folder: str) -> int:
    """An open file in a folder, without a name. Raises OSError."""
    import tempfile

    try:
        return os.open(folder, os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC, 0o600)
    except OSError:  # this file system or kernel cannot: make it by hand, which says why if it cannot be made at all
        fd, name = tempfile.mkstemp(prefix="hyperport-", dir=folder)
    try:
        Path(name).unlink()
    except BaseException:
        os.close(fd)
        raise
    return fd


def _open_overlay(path: Path, base: Path, size: int) -> int:
    flags = os.O_RDWR | os.O_CLOEXEC
    try:
        try:
            fd = os.open(path, flags)
        except FileNotFoundError:
            _create_overlay(path, size)
            fd = os.open(path, flags)
    except OSError as error:
        raise ConfigError(f"overlay {path}: {error.strerror}; name another file") from None
    try:
        _lock(fd, path, "overlay", write=True)
        _check_overlay(fd, path, base, size)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _check_overlay(fd: int, path: Path, base: Path, size: int) -> None:
    try:
        head, length = _read_head(fd, HEADER.size + CHECKSUM.size), os.fstat(fd).st_size
    except OSError as error:
        raise ConfigError(f"overlay {path}: {error.strerror}; name a file") from None
    if head[: len(MAGIC)] != MAGIC:
        raise ConfigError(f"overlay {path}: there is a file that is no overlay; name another, which will be made")
    if len(head) < HEADER.size + CHECKSUM.size or CHECKSUM.unpack(head[HEADER.size :])[0] != zlib.crc32(
        head[: HEADER.size]
    ):
        raise ConfigError(f"overlay {path}: its header is damaged; restore it from a copy")
    _, version, unit, sectors, _, _, data_offset = HEADER.unpack(head[: HEADER.size])
    if version != VERSION:
        raise ConfigError(f"overlay {path}: format {version} is not known; a newer hyperport is needed")
    if sectors * unit != size:
        raise ConfigError(
            f"overlay {path}: belongs to a base of {sectors * unit} bytes, but {base} has {size}; name its base"
        )
    if head[: HEADER.size] != _header(size)[: HEADER.size] or length < data_offset + size:
        raise ConfigError(f"overlay {path}: it was cut short; restore it from a copy")


def _create_overlay(path: Path, size: int) -> None:
    """Make the file beside its place and give it its name when it is whole."""
    import tempfile

    try:
        with tempfile.NamedTemporaryFile(prefix=f".{path.name}-", dir=path.parent, delete=False) as file:
            temporary = Path(file.name)
            try:
                file.write(_header(size))
                file.truncate(_data_offset(size) + size)
                file.flush()
                os.fsync(file.fileno())
                with contextlib.suppress(FileExistsError):  # somebody else was quicker: then it is theirs
                    os.link(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        at = f" ({error.filename})" if error.filename else ""  # the temporary file, if it could not be removed
        raise ConfigError(f"overlay {path}: it cannot be made: {error.strerror}{at}; name another file") from None
