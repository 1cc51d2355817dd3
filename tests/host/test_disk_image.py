# SPDX-License-Identifier: GPL-2.0-or-later
"""Images on the host: what opens, who may open it at the same time, and what an overlay keeps whatever happens."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperport.errors import AccessError, ConfigError, HostError
from hyperport.host.disk import SECTOR_BYTES, MemoryDisk, RawDisk
from hyperport.host.disk_image import PAGE, open_cdrom, open_disk
from hyperport.host.specs import DiskSpec

SECTORS = 64


def pattern(sectors: int = SECTORS) -> bytes:
    return b"".join(bytes([number & 0xFF, number >> 8]) * (SECTOR_BYTES // 2) for number in range(sectors))


@pytest.fixture
def base(tmp_path: Path) -> Path:
    path = tmp_path / "base.img"
    path.write_bytes(pattern())
    return path


def spec(path: Path, overlay: Path | None = None, *, read_only: bool = False, snapshot: bool = False) -> DiskSpec:
    return DiskSpec(path=path, overlay=overlay, read_only=read_only, snapshot=snapshot)


def test_raw_image_is_read_and_written_in_place(base: Path) -> None:
    disk = open_disk(spec(base))
    assert disk.sectors == SECTORS
    assert disk.read_sectors(3, 2) == pattern()[3 * 512 : 5 * 512]
    disk.write_sectors(63, b"x" * 512)
    disk.sync()
    disk.close()
    assert base.read_bytes() == pattern()[:-512] + b"x" * 512


def test_nothing_outside_the_image(base: Path) -> None:
    disk = open_disk(spec(base))
    for first, count in ((SECTORS, 1), (SECTORS - 1, 2), (1 << 63, 1), ((1 << 64) - 1, 2)):
        with pytest.raises(AccessError):
            disk.read_sectors(first, count)
        with pytest.raises(AccessError):
            disk.write_sectors(first, bytes(512 * count))
    assert disk.read_sectors(SECTORS, 0) == b""
    disk.close()
    assert base.stat().st_size == SECTORS * SECTOR_BYTES


def test_read_only_image_refuses_writes(base: Path) -> None:
    base.chmod(0o444)
    disk = open_disk(spec(base, read_only=True))
    assert not disk.writable
    with pytest.raises(HostError, match="Read-only"):
        disk.write_sectors(0, bytes(512))
    disk.sync()


def test_image_that_becomes_shorter_fails_and_is_counted(base: Path) -> None:
    disk = open_disk(spec(base))
    os.truncate(base, 512)
    assert disk.read_sectors(0, 1) == pattern()[:512]
    with pytest.raises(HostError, match="Input/output error"):
        disk.read_sectors(0, 2)
    assert (disk.failures, disk.last_errno) == (1, 5)


def test_snapshot_leaves_no_trace(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    disk = open_disk(spec(base, snapshot=True))
    disk.write_sectors(5, b"y" * 1024)
    assert disk.read_sectors(4, 4) == pattern()[4 * 512 : 5 * 512] + b"y" * 1024 + pattern()[7 * 512 : 8 * 512]
    disk.sync()
    assert list(folder.iterdir()) == []
    disk.close()
    assert base.read_bytes() == pattern()


def test_overlay_keeps_what_was_written_and_the_base_is_unchanged(base: Path, tmp_path: Path) -> None:
    overlay = tmp_path / "over"
    disk = open_disk(spec(base, overlay))
    disk.write_sectors(1, b"a" * 512 * 3)
    disk.write_sectors(63, b"z" * 512)
    disk.close()
    disk = open_disk(spec(base, overlay))
    expected = bytearray(pattern())
    expected[512 : 4 * 512] = b"a" * 512 * 3
    expected[63 * 512 :] = b"z" * 512
    assert disk.read_sectors(0, SECTORS) == expected
    disk.close()
    assert hashlib.sha256(base.read_bytes()).digest() == hashlib.sha256(pattern()).digest()


def test_overlay_takes_room_only_for_what_is_written(tmp_path: Path) -> None:
    base, overlay = tmp_path / "big", tmp_path / "over"
    base.touch()
    os.truncate(base, 1 << 40)
    disk = open_disk(spec(base, overlay))
    disk.write_sectors((1 << 31) - 1, b"e" * 512)
    disk.close()
    assert overlay.stat().st_blocks * 512 < 1 << 20
    disk = open_disk(spec(base, overlay))
    assert disk.read_sectors((1 << 31) - 2, 2) == bytes(512) + b"e" * 512
    disk.close()


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("write"), st.integers(0, SECTORS - 1), st.integers(1, 20)),
            st.tuples(st.just("flush"), st.just(0), st.just(0)),
            st.tuples(st.just("crash"), st.just(0), st.just(0)),
            st.tuples(st.just("reopen"), st.just(0), st.just(0)),
        ),
        max_size=30,
    )
)
def test_overlay_is_whole_at_every_moment(program: list[tuple[str, int, int]]) -> None:
    """A crash takes the file as it is then, as SIGKILL does: each sector is as at the last flush, or newer."""
    with tempfile.TemporaryDirectory() as folder:
        base, overlay = Path(folder) / "base", Path(folder) / "over"
        base.write_bytes(pattern())
        disk = open_disk(spec(base, overlay))
        history = [{pattern()[n * 512 : (n + 1) * 512]} for n in range(SECTORS)]  # what a sector may hold after a crash
        now = [pattern()[n * 512 : (n + 1) * 512] for n in range(SECTORS)]
        for step, (action, first, count) in enumerate(program):
            match action:
                case "write":
                    count = min(count, SECTORS - first)
                    data = bytes([step + 1]) * 512
                    disk.write_sectors(first, data * count)
                    for number in range(first, first + count):
                        now[number] = data
                        history[number].add(data)
                case "flush":
                    disk.sync()
                    history = [{data} for data in now]
                case "reopen":
                    disk.close()
                    disk = open_disk(spec(base, overlay))
                    history = [{data} for data in now]
                case "crash":
                    copy = Path(folder) / f"copy{step}"
                    shutil.copyfile(overlay, copy)
                    survivor = open_disk(spec(base, copy))
                    found = survivor.read_sectors(0, SECTORS)
                    survivor.close()
                    for number in range(SECTORS):
                        assert found[number * 512 : (number + 1) * 512] in history[number]
            assert disk.read_sectors(0, SECTORS) == b"".join(now)
        disk.close()


def test_overlay_after_a_kill_in_mid_write(base: Path, tmp_path: Path) -> None:
    """The writer says each round that it has flushed; after SIGKILL at least the last of these must be there."""
    overlay = tmp_path / "over"
    script = """if True:
        import sys
        from pathlib import Path
        from hyperport.host.disk_image import open_disk
        from hyperport.host.specs import DiskSpec
        disk = open_disk(DiskSpec(path=Path(sys.argv[1]), overlay=Path(sys.argv[2])))
        for number in range(1, 1 << 16):
            for sector in range(64):
                disk.write_sectors(sector, number.to_bytes(2, "little") * 256)
            disk.sync()
            print(number, flush=True)
    """
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    for _ in range(3):
        overlay.unlink(missing_ok=True)
        writer = subprocess.Popen(
            [sys.executable, "-c", script, str(base), str(overlay)], stdout=subprocess.PIPE, env=environment, text=True
        )
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(20)]
        writer.send_signal(signal.SIGKILL)
        lines += writer.stdout.readlines()
        writer.stdout.close()
        writer.wait()
        flushed = int(lines[-1])
        disk = open_disk(spec(base, overlay))  # the lock went with the process
        for sector in range(SECTORS):
            data = disk.read_sectors(sector, 1)
            assert data == data[:2] * 256
            assert int.from_bytes(data[:2], "little") in (flushed, flushed + 1, flushed + 2)
        disk.close()
    assert base.read_bytes() == pattern()


def test_full_host_fails_the_write_and_keeps_the_rest(base: Path, tmp_path: Path) -> None:
    disk = open_disk(spec(base, tmp_path / "over"))
    disk.write_sectors(0, b"k" * 512)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * PAGE + 8 * 512, hard))
    try:
        disk.write_sectors(7, b"k" * 512)
        with pytest.raises(HostError, match="too large"):
            disk.write_sectors(7, b"n" * 1024)  # the second sector does not fit
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert disk.read_sectors(8, 1) == pattern()[8 * 512 : 9 * 512]
    assert disk.read_sectors(0, 1) == b"k" * 512
    disk.close()


@pytest.mark.parametrize(
    ("first", "second", "allowed"),
    [
        ("write", "write", False),
        ("write", "ro", False),
        ("write", "snapshot", False),
        ("ro", "write", False),
        ("ro", "ro", True),
        ("ro", "overlay", True),
        ("overlay", "write", False),
        ("overlay", "ro", True),
        ("overlay", "snapshot", True),
        ("overlay", "overlay", False),
        ("snapshot", "write", False),
        ("snapshot", "snapshot", True),
        ("snapshot", "cdrom", True),
        ("write", "cdrom", False),
    ],
)
def test_two_never_write_one_image(base: Path, tmp_path: Path, first: str, second: str, allowed: bool) -> None:
    def open_as(kind: str) -> object:
        if kind == "cdrom":
            return open_cdrom(base)
        overlay = tmp_path / "over" if kind == "overlay" else None
        return open_disk(spec(base, overlay, read_only=kind == "ro", snapshot=kind == "snapshot"))

    holder = open_as(first)
    if allowed:
        open_as(second)
    else:
        with pytest.raises(ConfigError, match="in use by a machine"):
            open_as(second)
    del holder
    open_as(second)


def test_refusals_are_one_clear_line(base: Path, tmp_path: Path) -> None:
    def told(wanted: DiskSpec) -> str:
        with pytest.raises(ConfigError) as caught:
            open_disk(wanted)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "make one with: truncate" in told(spec(tmp_path / "none"))
    assert "neither a file" in told(spec(Path("/dev/null")))
    assert "Is a directory" in told(spec(tmp_path))
    odd, empty, qcow, over = (tmp_path / name for name in ("odd", "empty", "qcow", "over"))
    odd.write_bytes(b"x" * 513)
    empty.touch()
    qcow.write_bytes(b"QFI\xfb".ljust(512, b"\0"))
    assert "0 bytes; a disk has at least one" in told(spec(empty))
    assert "is no overlay" in told(spec(base, odd))
    assert "is no overlay" in told(spec(base, empty))
    assert "cannot be made" in told(spec(base, tmp_path / "no" / "folder"))
    open_disk(spec(base, over)).close()
    assert f"--disk BASE,overlay={over}" in told(spec(over))
    other = tmp_path / "other"
    other.write_bytes(pattern(SECTORS * 2))
    assert "belongs to a base of 32768 bytes" in told(spec(other, over))
    content = over.read_bytes()
    for damaged, message in (
        (content[:9] + b"\x02" + content[10:], "damaged"),
        (content[:20], "damaged"),
        (content[:-512], "cut short"),
    ):
        over.write_bytes(damaged)
        assert message in told(spec(base, over))
    with pytest.raises(ConfigError, match=r"cdrom .*: this is qcow2"):
        open_cdrom(qcow)


@pytest.mark.parametrize("how", ["raw", "overlay", "snapshot"])
@pytest.mark.parametrize("size", [1, 511, 513, 2047])
def test_an_image_that_ends_within_a_sector(tmp_path: Path, how: str, size: int) -> None:
    """Zeros are behind it; a write there makes the file whole."""
    image, sectors = tmp_path / "odd", -(-size // 512)
    image.write_bytes(b"x" * size)
    whole = (b"x" * size).ljust(sectors * 512, b"\0")
    wanted = spec(image, tmp_path / "over" if how == "overlay" else None, snapshot=how == "snapshot")
    disk = open_disk(wanted)
    assert disk.read_sectors(0, disk.sectors) == whole
    assert disk.read_sectors(sectors - 1, 1) == whole[-512:]
    disk.write_sectors(sectors - 1, b"y" * 512)
    assert disk.read_sectors(0, disk.sectors) == whole[:-512] + b"y" * 512
    disk.close()
    assert image.read_bytes() == (whole[:-512] + b"y" * 512 if how == "raw" else b"x" * size)
    with contextlib.closing(open_disk(wanted)) as disk:
        assert disk.read_sectors(0, disk.sectors) == (whole if how == "snapshot" else whole[:-512] + b"y" * 512)


def test_an_image_that_became_shorter_has_lost_sectors(tmp_path: Path) -> None:
    image = tmp_path / "odd"
    image.write_bytes(b"x" * 1500)
    with contextlib.closing(open_disk(spec(image))) as disk:
        os.truncate(image, 600)
        with pytest.raises(HostError):
            disk.read_sectors(0, 3)


def test_a_disc_that_ends_within_a_sector(tmp_path: Path) -> None:
    image = tmp_path / "disc"
    image.write_bytes(b"x" * 2100)
    with contextlib.closing(open_cdrom(image)) as disc:
        assert disc.read_sectors(0, 8) == (b"x" * 2100).ljust(4096, b"\0")


def test_memory_disk_fails_where_it_is_told_to() -> None:
    disk = MemoryDisk(4 * 512)
    disk.write_sectors(0, b"m" * 2048)
    disk.fail_from(2, 5)
    assert disk.read_sectors(0, 2) == b"m" * 1024
    for failing in (lambda: disk.read_sectors(1, 2), lambda: disk.write_sectors(3, bytes(512)), disk.sync):
        with pytest.raises(HostError, match="Input/output error"):
            failing()
    disk.fail_from(0, 0)
    assert disk.read_sectors(0, 4) == b"m" * 2048
    with pytest.raises(AccessError):
        MemoryDisk(100)


# Files that were damaged, by the thousand: refused in one line, or used without a wrong byte outside the damage.

MUTATIONS = int(os.environ.get("HYPERPORT_MUTATIONS", "2000"))


def check_line(error: ConfigError, path: Path) -> None:
    assert "\n" not in str(error)
    assert str(path) in str(error)


def mutated(content: bytes, chance: random.Random, near: int) -> bytes:
    """content with bits turned, bytes or pages replaced, or another length; mostly in its first near bytes."""
    data = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 5))):
        at = chance.randrange(min(near, len(data)) if chance.random() < 0.8 else len(data))
        match chance.randrange(5):
            case 0:
                data[at] ^= 1 << chance.randrange(8)
            case 1:
                data[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF))
            case 2:
                size = chance.choice((2, 4, 8, 512))
                data[at : at + size] = chance.randbytes(size)[: len(data) - at]
            case 3:
                del data[max(at, 1) :]
            case _:
                data += bytes(chance.choice((1, 511, 512, 4096)))
    return bytes(data)


@pytest.fixture
def quick(base: Path) -> Iterator[Path]:
    """base, where a flush waits for no disk, if there is such a place."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        yield Path(shutil.copy(base, folder))


def test_mutated_overlays_are_refused_or_are_overlays(quick: Path) -> None:
    base, overlay = quick, quick.parent / "over"
    disk = open_disk(spec(base, overlay))
    disk.write_sectors(3, b"o" * 1024)
    disk.close()
    whole = overlay.read_bytes()
    chance = random.Random(13)
    refused = used = 0
    for number in range(MUTATIONS):
        content: bytes = mutated(whole, chance, PAGE + SECTORS // 8 if number % 2 else 64)
        if number % 4 == 0:  # a header that is wrong, with a checksum that is right
            fields = bytearray(content[:52].ljust(52, b"\0"))
            fields[8 + chance.randrange(40)] ^= 1 << chance.randrange(8)
            content = bytes(fields[:48]) + zlib.crc32(fields[:48]).to_bytes(4, "little") + content[52:]
        overlay.write_bytes(content)
        try:
            disk = open_disk(spec(base, overlay))
        except ConfigError as error:
            check_line(error, overlay)
            refused += 1
            assert overlay.read_bytes() == content, "what is refused is left alone"
            continue
        used += 1
        assert disk.sectors == SECTORS
        for sector in range(SECTORS):
            own = content[PAGE + sector // 8] >> sector % 8 & 1
            place = 2 * PAGE + sector * 512
            expected = content[place : place + 512] if own else pattern()[sector * 512 : sector * 512 + 512]
            assert disk.read_sectors(sector, 1) == expected
        disk.write_sectors(7, b"n" * 512)
        disk.close()
    assert min(refused, used) > MUTATIONS // 10
    assert base.read_bytes() == pattern()


def test_mutated_images_are_refused_or_read_as_they_are(tmp_path: Path) -> None:
    image = tmp_path / "image"
    chance = random.Random(14)
    heads = (pattern(8), b"QFI\xfb\0\0\0\x03".ljust(4096, b"\0"), b"HPOVRLAY".ljust(4096, b"\0"), bytes(2048))
    refused = used = 0
    for number in range(MUTATIONS):
        content = mutated(chance.choice(heads), chance, 16)
        image.write_bytes(content)
        try:
            disk = open_cdrom(image) if number % 2 else open_disk(spec(image))
        except ConfigError as error:
            check_line(error, image)
            refused += 1
        else:
            used += 1
            assert disk.read_sectors(0, disk.sectors) == content.ljust(disk.sectors * 512, b"\0")
            disk.close()
        assert image.read_bytes() == content
    assert min(refused, used) > MUTATIONS // 10


def test_a_flush_that_failed_never_goes_well_again(base: Path, tmp_path: Path) -> None:
    """The kernel drops what it could not write and tells it once: a second fdatasync would say that all is well.

    A pipe cannot be flushed; a file put in its place can.
    """
    inside, outside = os.pipe()
    try:
        for disk in (RawDisk(os.dup(outside), 512 * SECTORS, True), open_disk(spec(base, tmp_path / "over"))):
            assert isinstance(disk, RawDisk)
            kept = os.dup(disk.fd)
            os.dup2(outside, disk.fd)
            with pytest.raises(HostError, match="Invalid argument"):
                disk.sync()
            with base.open("rb") as file:
                os.dup2(file.fileno(), disk.fd)
            with pytest.raises(HostError, match="Invalid argument"):
                disk.sync()
            os.dup2(kept, disk.fd)
            os.close(kept)
            assert disk.failures == 2
    finally:
        os.close(inside)
        os.close(outside)
