# SPDX-License-Identifier: GPL-2.0-or-later
"""Disks that another program serves: the handshake of the Network Block Device protocol, and qemu-nbd as that program.

Source: NBD, doc/proto.md, "Handshake phase": fixed newstyle, export "" by NBD_OPT_EXPORT_NAME. Then nbd_disk.pyx has
the socket. docs/decisions/0040 says why a client of our own.
"""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

from hyperport.errors import ConfigError
from hyperport.host.disk import SECTOR_BYTES, Disk
from hyperport.host.nbd_disk import NbdDisk

PREFIX: Final = "nbd:unix:"
LIMIT_S = 30.0  # of a request and of the handshake: longer than a busy disk, shorter than for ever
START_S: Final = 15
LAST_WORDS_S: Final = 2
MAGIC: Final = b"NBDMAGICIHAVEOPT"
FIXED, NO_ZEROES = 1, 2  # flags of server and client
EXPORT_NAME: Final = 1  # option
HAS_FLAGS, READ_ONLY, SEND_FLUSH = 1, 2, 4  # flags of the export
WATCHED: Final = (  # qemu-nbd ends when this process has ended, however: then the pipe's other end is closed
    "import os, subprocess, sys, threading\n"
    "child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)\n"
    "threading.Thread(target=lambda: os._exit(child.wait() and 1), daemon=True).start()\n"
    "sys.stdin.read()\n"
    "child.terminate()\n"
    "child.wait()\n"
)


def is_nbd(path: Path | str) -> bool:
    """Whether it names a server and no file."""
    return str(path).startswith(PREFIX)


def connect(where: str, *, read_only: bool, kind: type[NbdDisk] = NbdDisk) -> NbdDisk:
    """The disk of the server at nbd:unix:PATH. Raises ConfigError with one line."""
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        line.settimeout(LIMIT_S)
        line.connect(where.removeprefix(PREFIX))
        size, flags = _shake_hands(line)
    except TimeoutError:
        line.close()
        raise ConfigError(f"disk {where}: the server does not answer within {LIMIT_S} s; look after it") from None
    except OSError as error:
        line.close()
        reason = error.strerror or str(error)
        raise ConfigError(f"disk {where}: {reason}; is an NBD server listening there?") from None
    except BaseException:
        line.close()
        raise
    if size == 0 or size % SECTOR_BYTES or size > 1 << 56:
        line.close()
        raise ConfigError(f"disk {where}: {size} bytes are no whole number of sectors")
    if flags & READ_ONLY and not read_only:
        line.close()
        raise ConfigError(f"disk {where}: the server lets nobody write; add ,ro")
    limit = struct.pack("ll", int(LIMIT_S), int(LIMIT_S % 1 * 1e6))
    line.setblocking(True)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
    return kind(line.detach(), size, not read_only, bool(flags & SEND_FLUSH), int(LIMIT_S * 1e9))


def _shake_hands(line: socket.socket) -> tuple[int, int]:
    """Size and flags of the export. Raises OSError for a server that speaks something else."""
    magic, flags = _exactly(line, 16), struct.unpack(">H", _exactly(line, 2))[0]
    if magic != MAGIC or not flags & FIXED:
        raise OSError("it does not speak the fixed newstyle protocol")
    ours = flags & (FIXED | NO_ZEROES)
    line.sendall(struct.pack(">I8sII", ours, MAGIC[8:], EXPORT_NAME, 0))
    size, told = struct.unpack(">QH", _exactly(line, 10))
    if not ours & NO_ZEROES:
        _exactly(line, 124)
    return size, told


def _exactly(line: socket.socket, size: int) -> bytes:
    data, end = b"", time.monotonic() + LIMIT_S
    while len(data) < size:
        if time.monotonic() > end:
            raise TimeoutError
        part = line.recv(size - len(data))
        if not part:
            raise OSError("the server closed the connection")
        data += part
    return data


class _ServedImage:
    """qemu-nbd with an image, for one disk. Ends with close(), or with this process."""

    def __init__(self, path: Path, *, read_only: bool) -> None:
        program = shutil.which("qemu-nbd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if program is None:
            raise ConfigError(f"disk {path}: this is qcow2, which qemu-nbd serves: install qemu-utils, or convert it")
        self.folder = Path(mkdtemp(prefix="hyperport-"))
        where = self.folder / "nbd"
        command = [program, "--format=qcow2", "--persistent", "--shared=1", f"--socket={where}"]
        command += ["--cache=writeback", *(["--read-only"] if read_only else []), "--", str(path.absolute())]
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-c", WATCHED, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        end = time.monotonic() + START_S
        while not where.exists():
            if self.process.poll() is not None:
                said = self.last_words()
                self.close()
                raise ConfigError(f"disk {path}: {said}")
            if time.monotonic() > end:
                self.close()
                raise ConfigError(f"disk {path}: qemu-nbd does not begin within {START_S} s")
            time.sleep(0.02)
        self.where = f"{PREFIX}{where}"

    def last_words(self) -> str:
        """Why it has ended, in a line; nothing if it has not. It makes its socket before it opens the image."""
        assert self.process.stderr is not None
        try:
            self.process.wait(LAST_WORDS_S)
        except subprocess.TimeoutExpired:
            return ""
        return (self.process.stderr.read().decode(errors="replace").strip().splitlines() or ["qemu-nbd ended"])[-1]

    def close(self) -> None:
        """End it; it has written all when it has ended."""
        assert self.process.stdin is not None
        assert self.process.stderr is not None
        self.process.stdin.close()
        self.process.wait()
        self.process.stderr.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class ServedDisk(NbdDisk):
    """A disk whose server is ours, and ends with it."""

    server: _ServedImage

    def __init__(self, fd: int, size: int, writable: bool, flushes: bool, limit_ns: int) -> None:
        super().__init__(fd, size, writable, flushes, limit_ns)

    def close(self) -> None:
        """Flush, end the server. Raises HostError if the flush fails."""
        try:
            super().close()
        finally:
            self.server.close()


def open_qcow2(path: Path | str, *, read_only: bool) -> Disk:
    """A qcow2 image by a qemu-nbd of its own. Raises ConfigError."""
    path = Path(path)
    server = _ServedImage(path, read_only=read_only)
    try:
        disk = connect(server.where, read_only=read_only, kind=ServedDisk)
    except BaseException as error:
        said = server.last_words() if isinstance(error, ConfigError) else ""
        server.close()
        if said:
            raise ConfigError(f"disk {path}: {said}") from None
        raise
    assert isinstance(disk, ServedDisk)
    disk.server = server
    return disk
