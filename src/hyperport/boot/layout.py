# SPDX-License-Identifier: GPL-2.0-or-later
"""What lies where in a guest's RAM before it starts: every loader claims its ranges here, then writes them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from hyperport.boot import e820
from hyperport.cpu.state import CODE_32, DATA_32, Table
from hyperport.errors import ImageError
from hyperport.host.files import UnfitFile, open_to_read
from hyperport.memory.ram import GuestMemory

PAGE: Final = 4096
HEAD: Final = 36 << 10  # bytes that tell what a file is: the mark of an ISO 9660 file system lies at 32 KiB
CODE_SELECTOR: Final = 0x10  # __BOOT_CS of the Linux boot protocol, boot.rst "32-bit boot protocol"
DATA_SELECTOR: Final = 0x18  # __BOOT_DS
FREE_LOW: Final = 0x500  # below lie the real-mode interrupt vectors and the BIOS data area


@contextmanager
def open_regular(path: Path | str, what: str) -> Iterator[BinaryIO]:
    """The file, open for reading; opening does not wait, as a FIFO's would. Raises ImageError, also in the block."""
    try:
        with open_to_read(path) as file:
            yield file
    except UnfitFile as error:
        raise ImageError(f"{what} {path}: {error.strerror}; give a file") from None
    except OSError as error:
        raise ImageError(f"{what} {path}: {error.strerror}; check the path") from None
    except ValueError:
        raise ImageError(f"{what} {str(path)!r}: not a path; check the name") from None


def read_file(path: Path | str, what: str, limit: int) -> bytes:
    """The whole file, at most limit bytes. Raises ImageError."""
    with open_regular(path, what) as file:
        data = file.read(limit + 1)
    if not data:
        raise ImageError(f"{what} {path}: the file is empty; give another")
    if len(data) > limit:
        raise ImageError(f"{what} {path}: larger than the guest's {limit >> 20} MiB of RAM; give more with --mem")
    return data


def encode_text(text: str, what: str, limit: int) -> bytes:
    """Text for the guest with its final NUL; limit is in bytes without the NUL. Raises ImageError."""
    try:
        data = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise ImageError(f"{what}: character {error.start} is no text; take it out") from None
    if b"\0" in data:
        raise ImageError(f"{what}: has a NUL character at byte {data.index(0)}; take it out")
    if len(data) > limit:
        raise ImageError(f"{what}: {len(data)} bytes, the kernel takes {limit}; shorten it")
    return data + b"\0"


class Layout:
    """The claimed ranges of one guest's RAM; whatever is claimed is inside RAM as the memory map has it."""

    def __init__(self, memory: GuestMemory) -> None:
        self.memory = memory
        self.windows = [(r.start, r.end) for r in e820.memory_map(memory.size) if r.kind == e820.RAM]
        self.claims: list[tuple[int, int, str]] = [(0, FREE_LOW, "the BIOS data area")]

    def claim(self, start: int, end: int, what: str) -> None:
        """Take a range of fixed address. Raises ImageError if it is not all RAM or another claim has part of it."""
        if start >= end:
            raise ImageError(f"{what}: {start:#x} to {end:#x} is no range of addresses; the image is damaged")
        if not any(low <= start and end <= high for low, high in self.windows):
            need = f"give at least {-(-end >> 20)}M with --mem" if start >= e820.HIGH else "the image is not for a PC"
            if end > 3 << 30:
                need = "no PC of this kind has that much; the image is damaged or not for a PC"
            raise ImageError(f"{what}: {start:#x} to {end - 1:#x} is not RAM of {self.memory.size >> 20} MiB; {need}")
        for low, high, owner in self.claims:
            if start < high and low < end:
                raise ImageError(
                    f"{what}: {start:#x} to {end - 1:#x} is taken by {owner}; the image needs another place"
                )
        self.claims.append((start, end, what))

    def find(self, size: int, *, low: int = 0, high: int = 1 << 32, align: int = PAGE, top: bool = False) -> int | None:
        """The lowest (top: highest) free address for size bytes between low and high; None if there is none."""
        taken = sorted((start, end) for start, end, _ in self.claims)
        found = None
        for window_low, window_high in self.windows:
            start, stop = max(window_low, low), min(window_high, high)
            for claim_low, claim_high in [*taken, (stop, stop)]:
                free_end = min(claim_low, stop)
                at = (free_end - size) // align * align if top else -(-start // align) * align
                if start <= at and at + size <= free_end:
                    if not top:
                        return at
                    found = at
                start = max(start, claim_high)
        return found

    def take(self, size: int, what: str, *, low: int = 0, high: int = 1 << 32, align: int = PAGE) -> int:
        """Find the lowest free address and claim it. Raises ImageError if there is no room."""
        at = self.find(size, low=low, high=high, align=align)
        if at is None:
            mib = self.memory.size >> 20
            raise ImageError(f"{what}: no room for {size} bytes in {mib} MiB of RAM; give more with --mem")
        self.claims.append((at, at + size, what))
        return at

    def put_gdt(self) -> Table:
        """Write a GDT with flat 4 GiB code and data at the selectors that the boot protocols name."""
        table = struct.pack("<4Q", 0, 0, _flat(CODE_32), _flat(DATA_32))
        at = self.take(len(table), "the GDT", high=e820.EBDA, align=8)
        self.memory.write(at, table)
        return Table(at, len(table) - 1)


def _flat(attributes: int) -> int:
    # A descriptor (SDM vol. 3, 3.4.5) of base 0 and limit 0xFFFFF pages: its second doubleword holds limit 19:16.
    return (attributes | 0xF << 16) << 32 | 0xFFFF
