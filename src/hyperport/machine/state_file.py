# SPDX-License-Identifier: GPL-2.0-or-later
"""A saved machine as a file: how it is laid out, written whole or not at all, and read without trust.

    8 bytes     MAGIC
    HEAD        version; bytes and CRC-32 of the record as it stands here; how many chunks follow
    record      MessagePack, deflated: see state.py
    chunks      each CHUNK_HEAD (bytes and CRC-32 as it stands here), then deflated contents

The contents of memory, and of disks that only this process has, are streams: runs of units (pages, sectors) that the
record names, one after the other, cut into chunks of CHUNK_BYTES. Numbers are little-endian. docs/decisions/0036
has the reasons.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from hyperport.errors import HostError, StateError
from hyperport.host.files import open_to_read, whole_file

MAGIC: Final = b"HPSTATE\n"
VERSION: Final = 1
HEAD: Final = struct.Struct("<IQII")  # version, bytes of the record, its CRC-32, chunks
CHUNK_HEAD: Final = struct.Struct("<II")
CHUNK_BYTES: Final = 4 << 20
LEVEL: Final = 1  # of zlib: the quickest; the next ones gain little, see the decision
MOST_RECORD: Final = 64 << 20  # bytes of a record, before it is deflated
WORKERS: Final = 2  # threads that deflate; zlib lets go of the GIL

Run = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Stream:
    """Contents beside the record: runs of units, (first, how many). read: (first unit, units) -> bytes."""

    name: str
    unit: int
    runs: list[Run]
    read: Callable[[int, int], bytes]

    def size(self) -> int:
        """Bytes of all runs."""
        return sum(count for _, count in self.runs) * self.unit


def pieces(runs: list[Run], unit: int) -> Iterator[list[Run]]:
    """Runs, cut so that each list of them has at most CHUNK_BYTES."""
    room, piece = CHUNK_BYTES // unit, list[Run]()
    left = room
    for run_first, run_count in runs:
        first, count = run_first, run_count
        while count:
            part = min(count, left)
            piece.append((first, part))
            first, count, left = first + part, count - part, left - part
            if not left:
                yield piece
                piece, left = [], room
    if piece:
        yield piece


def write_state(path: Path, record: dict[str, Any], streams: list[Stream]) -> int:
    """Write a file, whole or not at all; returns its bytes. Raises HostError, with one line."""
    try:
        packed = msgspec.msgpack.encode(record)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise StateError(f"the machine's record cannot be written: {error}") from None
    if len(packed) > MOST_RECORD:
        raise StateError(f"the machine's record has {len(packed)} bytes, and {MOST_RECORD} is the most")
    try:
        with whole_file(path, durable=True) as file:
            return _write(file, zlib.compress(packed, LEVEL), streams)
    except OSError as error:
        raise HostError(f"{path}: the machine is not saved: {error.strerror or error}; name another file") from None


def _write(file: BinaryIO, record: bytes, streams: list[Stream]) -> int:
    parts = [(stream, piece) for stream in streams for piece in pieces(stream.runs, stream.unit)]
    size = file.write(MAGIC + HEAD.pack(VERSION, len(record), zlib.crc32(record), len(parts)) + record)
    with ThreadPoolExecutor(WORKERS) as pool:
        waiting = []
        for stream, piece in parts:
            content = b"".join(stream.read(first, count) for first, count in piece)
            waiting.append(pool.submit(zlib.compress, content, LEVEL))
            if len(waiting) > 2 * WORKERS:
                size += _write_chunk(file, waiting.pop(0).result())
        for done in waiting:
            size += _write_chunk(file, done.result())
    return size


def _write_chunk(file: BinaryIO, packed: bytes) -> int:
    return file.write(CHUNK_HEAD.pack(len(packed), zlib.crc32(packed))) + file.write(packed)


class StateFile:
    """An open file of a saved machine. record: what it says, of which only the form has been checked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.file = open_to_read(path)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", error)
            raise StateError(f"{path}: {why}; name a file that --save or machine.save() has written") from None
        try:
            self.record, self.chunks = self._head()
        except BaseException:
            self.file.close()
            raise

    def _read(self, count: int, short: str = "it was cut short; restore it from a copy") -> bytes:
        try:
            data = self.file.read(count)
        except OSError as error:
            raise StateError(f"{self.path}: {error.strerror}; restore it from a copy") from None
        if len(data) != count:
            raise StateError(f"{self.path}: {short}")
        return data

    def _head(self) -> tuple[dict[str, Any], int]:
        no_state = "this is no saved machine"
        if self._read(len(MAGIC), no_state) != MAGIC:
            raise StateError(f"{self.path}: {no_state}")
        version, size, checksum, chunks = HEAD.unpack(self._read(HEAD.size))
        if version != VERSION:
            raise StateError(f"{self.path}: format {version} is not known here; this hyperport reads {VERSION}")
        if size > MOST_RECORD:
            raise StateError(f"{self.path}: it is damaged; restore it from a copy")
        packed = self._read(size)
        if zlib.crc32(packed) != checksum:
            raise StateError(f"{self.path}: it is damaged; restore it from a copy")
        try:
            record = msgspec.msgpack.decode(self._inflate(packed, MOST_RECORD))
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise StateError(f"{self.path}: its record cannot be read: {error}") from None
        if not isinstance(record, dict):
            raise StateError(f"{self.path}: its record is no dict")
        return record, chunks

    def _inflate(self, packed: bytes, most: int) -> bytes:
        inflater = zlib.decompressobj()
        try:
            data = inflater.decompress(packed, most)
        except zlib.error:
            raise StateError(f"{self.path}: it is damaged; restore it from a copy") from None
        if not inflater.eof or inflater.unused_data:
            raise StateError(f"{self.path}: it is damaged; restore it from a copy")
        return data

    def contents(self, sizes: list[int]) -> list[list[bytes]]:
        """The chunks of streams of these sizes in bytes, each stream's in order. Raises StateError."""
        wanted = [[min(CHUNK_BYTES, size - at) for at in range(0, size, CHUNK_BYTES)] for size in sizes]
        if sum(map(len, wanted)) != self.chunks:
            raise StateError(f"{self.path}: it has {self.chunks} chunks, and its record tells of others; it is damaged")
        with ThreadPoolExecutor(WORKERS) as pool:
            found = [[pool.submit(self._chunk, *self._packed(), length) for length in lengths] for lengths in wanted]
            inflated = [[done.result() for done in stream] for stream in found]
        if self.file.read(1):
            raise StateError(f"{self.path}: there is more behind its end; it is damaged")
        return inflated

    def _packed(self) -> tuple[bytes, int]:
        length, checksum = CHUNK_HEAD.unpack(self._read(CHUNK_HEAD.size))
        if length > 2 * CHUNK_BYTES:
            raise StateError(f"{self.path}: it is damaged; restore it from a copy")
        return self._read(length), checksum

    def _chunk(self, packed: bytes, checksum: int, length: int) -> bytes:
        data = b"" if zlib.crc32(packed) != checksum else self._inflate(packed, length + 1)
        if len(data) != length:
            raise StateError(f"{self.path}: it is damaged; restore it from a copy")
        return data

    def close(self) -> None:
        """Give the file back."""
        self.file.close()
