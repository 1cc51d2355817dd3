# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads a trace file, block by block, from a file or a pipe: TraceFile(path).records()."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path as FilePath
from types import TracebackType
from typing import Any, BinaryIO, Final, Self

from hyperport.bus.access import Space
from hyperport.errors import ConfigError, StateError
from hyperport.host.files import parse_json
from hyperport.observe.trace_decode import (
    HEADER_SIZE,
    VERSION,
    Decoder,
    LineChange,
    TracedAccess,
    is_whole,
    parse_header,
)

DESCRIPTION: Final = 0  # kinds of blocks, as in trace_format.pxd
ACCESSES: Final = 1
ENDING: Final = 2
NOBODY: Final = "(unclaimed)"  # as in report.py
MEMORY: Final = "(memory)"

Record = TracedAccess | LineChange


class TraceFile:
    """A trace. path: of a file, or "-" for stdin.

    description: what the recorder said of the machine: engine, io, windows (first port, last port, device), irqs, and
    more (docs/trace.md). ending: what it said at the end; None while that has not been read, or where it is missing.
    trouble: lines on what is missing or damaged; whole once records() is at its end. Raises ConfigError for a file that
    is no trace.
    """

    def __init__(self, path: FilePath | str) -> None:
        self.name = str(path)
        self.trouble: list[str] = []
        self.ending: dict[str, Any] | None = None
        try:
            self._stream: BinaryIO = sys.stdin.buffer if self.name == "-" else FilePath(path).open("rb")  # noqa: SIM115
        except OSError as error:
            raise ConfigError(f"trace {self.name}: {error.strerror or error}") from error
        self._at = 0
        first = self._block()
        if first is None or first[0] != DESCRIPTION:
            raise ConfigError(f"trace {self.name}: this is no trace of hyperport")
        self.description: dict[str, Any] = self._json(first[2])
        self.windows, self.memory = (
            [(int(low), int(high), str(name)) for low, high, name in self.description.get(word, ())]
            for word in ("windows", "memory")
        )
        self._owners = {port: name for low, high, name in self.windows for port in range(low, high + 1)}

    def device_of(self, access: TracedAccess) -> str:
        """The name of the device that had its port, or its address in device memory, when the trace began."""
        if access.space == Space.PORT:
            return self.device(access.port)
        return next((name for low, high, name in self.memory if low <= access.port <= high), MEMORY)

    def device(self, port: int) -> str:
        """The name of the device that had port."""
        return self._owners.get(port, NOBODY)

    def records(self) -> Iterator[Record]:
        """Every record, in order. What is damaged is left out, and told in trouble."""
        decoder = Decoder()
        expected: int | None = None
        while (block := self._block()) is not None:
            kind, raw, body, first, accesses = block
            if kind == ENDING:
                self.ending = self._json(body)
                break
            if kind != ACCESSES:
                continue
            if expected is None and first:
                self.trouble.append(f"the first {first} accesses have fallen out of its ring")
            elif expected is not None and first != expected:
                self.trouble.append(f"accesses {expected} to {first - 1} are missing")
            expected = first + accesses
            try:
                yield from decoder.records(raw, body)
            except StateError as error:
                self.trouble.append(f"damaged before byte {self._at}: {error}")
        if decoder.cut:
            self.trouble.append("a string whose beginning is missing is left out")
        if self.ending is None:
            self.trouble.append("it has no end: the run was killed or its disk was full; the last accesses are missing")
        elif self.ending.get("lost"):
            self.trouble.append(f"{self.ending['lost']} accesses are lost")

    def accesses(self) -> Iterator[TracedAccess]:
        """Every access, in order."""
        return (record for record in self.records() if isinstance(record, TracedAccess))

    def _block(self) -> tuple[int, bytes, bytes, int, int] | None:
        """The next block: kind, header, body, number of its first access, accesses. None at the end or a torn tail."""
        raw = self._read(HEADER_SIZE)
        if not raw:
            return None
        header = parse_header(raw)
        if header is None:
            if self._at > len(raw):
                self.trouble.append(f"no block begins at byte {self._at - len(raw)}: torn or damaged from there on")
            return None
        kind, version, length, first, accesses = header
        if version != VERSION:
            raise ConfigError(f"trace {self.name}: it has version {version}, and this hyperport reads {VERSION}")
        body = self._read(length)
        if not is_whole(raw, body):
            self.trouble.append(f"the block at byte {self._at - len(raw) - len(body)} is torn or damaged")
            return None if len(body) < length else self._block()
        return kind, raw, body, first, accesses

    def _read(self, length: int) -> bytes:
        try:
            data = self._stream.read(length)
        except OSError as error:
            raise ConfigError(f"trace {self.name}: {error.strerror or error}") from error
        self._at += len(data)
        return data

    def _json(self, body: bytes) -> dict[str, Any]:
        try:
            found = parse_json(body)
        except ValueError as error:
            raise ConfigError(f"trace {self.name}: its description cannot be read: {error}") from None
        if not isinstance(found, dict):
            raise ConfigError(f"trace {self.name}: its description cannot be read: it is no object")
        return found

    def close(self) -> None:
        """Close the file."""
        if self.name != "-":
            self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
