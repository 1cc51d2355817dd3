# SPDX-License-Identifier: GPL-2.0-or-later
"""The NBD client against servers that behave, that do not, and against qemu-nbd."""

from __future__ import annotations

import random
import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hyperport.errors import ConfigError, HostError
from hyperport.host import nbd
from hyperport.host.disk import Disk
from hyperport.host.disk_image import open_disk
from hyperport.host.specs import DiskSpec

SIZE = 1 << 20
HELLO = b"NBDMAGICIHAVEOPT" + struct.pack(">H", 3)
Serve = Callable[[socket.socket], None]


def exactly(line: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = line.recv(size - len(data))
        if not part:
            raise ConnectionError
        data += part
    return data


def good(answer: Callable[[socket.socket, int, bytes, int, int], None], flags: int = 5, size: int = SIZE) -> Serve:
    """A server that shakes hands, and then answers each request with answer(line, type, cookie, offset, length)."""

    def serve(line: socket.socket) -> None:
        line.sendall(HELLO)
        exactly(line, 4 + 16)
        line.sendall(struct.pack(">QH", size, flags))
        while True:
            magic, _, kind, cookie, offset, length = struct.unpack(">IHH8sQI", exactly(line, 28))
            assert magic == 0x25609513
            answer(line, kind, cookie, offset, length)

    return serve


def serving(path: Path, serve: Serve) -> str:
    """Where the server listens, for one client."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(1)

    def run() -> None:
        line, _ = listener.accept()
        listener.close()
        try:
            serve(line)
        except OSError:
            pass  # the client has gone
        finally:
            line.close()

    threading.Thread(target=run, daemon=True).start()
    return f"nbd:unix:{path}"


def reply(cookie: bytes, error: int = 0) -> bytes:
    return struct.pack(">II", 0x67446698, error) + cookie


def open_at(where: str, *, read_only: bool = False) -> Disk:
    return open_disk(DiskSpec(path=where, read_only=read_only))


def test_sectors_go_and_come_back(tmp_path: Path) -> None:
    content = bytearray(SIZE)
    kinds = []

    def answer(line: socket.socket, kind: int, cookie: bytes, offset: int, length: int) -> None:
        kinds.append(kind)
        if kind == 1:
            content[offset : offset + length] = exactly(line, length)
        line.sendall(reply(cookie) + (bytes(content[offset : offset + length]) if kind == 0 else b""))

    disk = open_at(serving(tmp_path / "s", good(answer)))
    data = random.Random(1).randbytes(65536)
    disk.write_sectors(100, data)
    disk.sync()
    assert disk.read_sectors(100, 128) == data == content[51200 : 51200 + 65536]
    disk.close()
    assert (disk.sectors, kinds[:3]) == (0, [1, 3, 0])


@pytest.mark.parametrize(
    ("told", "text"), [(5, "Input/output"), (28, "No space left"), (22, "Invalid"), (0x7FFFFFFF, "Input/")]
)
def test_an_error_of_the_server_is_the_disks(tmp_path: Path, told: int, text: str) -> None:
    disk = open_at(serving(tmp_path / "s", good(lambda line, _, cookie, *__: line.sendall(reply(cookie, told)))))
    for _ in range(2):
        with pytest.raises(HostError, match=text):
            disk.read_sectors(0, 1)
    assert disk.failures == 2


def wrong_cookie(line: socket.socket, _: int, cookie: bytes, *__: int) -> None:
    line.sendall(reply(bytes(8)) + bytes(512))


def wrong_magic(line: socket.socket, _: int, cookie: bytes, *__: int) -> None:
    line.sendall(bytes(8) + cookie + bytes(512))


def goes(line: socket.socket, *_: object) -> None:
    line.close()


def half(line: socket.socket, _: int, cookie: bytes, *__: int) -> None:
    line.sendall(reply(cookie) + bytes(100))
    line.close()


def hangs(*_: object) -> None:
    time.sleep(3)


def drips(line: socket.socket, _: int, cookie: bytes, *__: int) -> None:
    line.sendall(reply(cookie))
    for _ in range(30):
        line.sendall(b"x")
        time.sleep(0.1)


@pytest.mark.parametrize("answer", [wrong_cookie, wrong_magic, goes, half, hangs, drips])
def test_a_server_that_breaks_down_is_lost(
    tmp_path: Path, answer: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nbd, "LIMIT_S", 0.3)
    disk = open_at(serving(tmp_path / "s", good(answer)))
    for _ in range(3):
        with pytest.raises(HostError, match="disk: "):
            disk.read_sectors(0, 1)
    with pytest.raises(HostError):
        disk.write_sectors(0, bytes(512))
    with pytest.raises(HostError):
        disk.sync()
    assert disk.failures == 5
    disk.close()


@pytest.mark.parametrize(
    ("serve", "text"),
    [
        (lambda line: line.sendall(b"HTTP/1.1 400 Bad Request\r\n"), "does not speak"),
        (lambda line: line.sendall(HELLO[:10]), "closed the connection"),
        (lambda _: time.sleep(2), "does not answer within"),
        (good(lambda *_: None, flags=7), "lets nobody write; add ,ro"),
        *((good(lambda *_: None, size=n), f"{n} bytes are no whole number") for n in (0, 513, (1 << 56) + 512)),
    ],
)
def test_what_is_no_server(tmp_path: Path, serve: Serve, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nbd, "LIMIT_S", 0.3)
    with pytest.raises(ConfigError, match=text):
        open_at(serving(tmp_path / "s", serve))


def test_nobody_is_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is an NBD server listening there"):
        open_at(f"nbd:unix:{tmp_path}/none")


def qcow2(path: Path) -> Path:
    if shutil.which("qemu-nbd") is None or shutil.which("qemu-img") is None:
        pytest.skip("no qemu-nbd is installed")
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(path), "8M"], check=True)
    return path


def test_qcow2_is_served_by_qemu_nbd(tmp_path: Path) -> None:
    image, raw = qcow2(tmp_path / "disk.qcow2"), tmp_path / "raw"
    disk = open_at(str(image))
    data = random.Random(2).randbytes(4096)
    disk.write_sectors(5000, data)
    with pytest.raises(ConfigError, match="Is another process using the image"):
        open_at(str(image))
    disk.close()
    subprocess.run(["qemu-img", "convert", "-O", "raw", str(image), str(raw)], check=True)
    assert raw.read_bytes()[5000 * 512 :][:4096] == data
    disk = open_at(str(image), read_only=True)
    assert (disk.read_sectors(5000, 8), disk.writable) == (data, False)
    disk.close()


def test_qcow2_without_qemu_nbd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = qcow2(tmp_path / "disk.qcow2")
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(ConfigError, match="install qemu-utils, or convert it"):
        open_at(str(image))
    with pytest.raises(ConfigError, match="an overlay needs a raw image"):
        open_disk(DiskSpec(path=image, snapshot=True))
