# SPDX-License-Identifier: GPL-2.0-or-later
"""Records Ethernet frames in a file for Wireshark or tcpdump: pcap with nanoseconds (pcap-savefile(5))."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

from hyperport.errors import ConfigError
from hyperport.host.notes import note

MAGIC_NS: Final = 0xA1B23C4D
VERSION: Final = (2, 4)
LINKTYPE_ETHERNET: Final = 1
SNAPLEN: Final = 2048  # longer than any frame here
FILE_HEADER: Final = struct.Struct("<IHHiIII")
RECORD_HEADER: Final = struct.Struct("<IIII")
BILLION: Final = 1_000_000_000


class PcapWriter:
    """A pcap file, emptied first. Raises ConfigError if it cannot be opened.

    A later failure is told in one line when it comes, and kept in `failure`; then the file is not complete.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.failure: str | None = None
        try:
            self.file = self.path.open("wb")
        except OSError as error:
            raise ConfigError(f"pcap file {path}: {error.strerror}; name another file") from error
        self.file.write(FILE_HEADER.pack(MAGIC_NS, *VERSION, 0, 0, SNAPLEN, LINKTYPE_ETHERNET))
        self.flush()

    def record(self, wall_ns: int, frame: bytes) -> None:
        """One frame at a time in ns since 1970. After a failure nothing more is written."""
        if self.failure is None:
            kept = frame[:SNAPLEN]
            header = RECORD_HEADER.pack(wall_ns // BILLION & 0xFFFFFFFF, wall_ns % BILLION, len(kept), len(frame))
            try:
                self.file.write(header + kept)
            except OSError as error:
                self._fail(error)

    def _fail(self, error: OSError) -> None:
        if self.failure is None:
            self.failure = str(error.strerror or error)
            note(f"pcap file {self.path}: {self.failure}; it is not complete")

    def flush(self) -> None:
        """Write what is buffered."""
        if self.failure is None:
            try:
                self.file.flush()
            except OSError as error:
                self._fail(error)

    def close(self) -> str | None:
        """Close the file; returns what went wrong, if anything did."""
        self.flush()
        try:
            self.file.close()
        except OSError as error:
            self._fail(error)
        return self.failure
