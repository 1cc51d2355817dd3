# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's own drivers: pata_legacy, sd_mod, ext4, sr_mod, isofs; and the VMM killed in mid-write."""

from __future__ import annotations

import hashlib
import os
import random
import re
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from hyperport.host.disk_image import open_disk
from hyperport.host.specs import parse_disk

from ..host.fault.harness import build
from ..host.fault.harness import environment as faulty
from .conftest import missing
from .iso9660 import image
from .scripted import LIMIT_S, environment, run_script, scripted

pytestmark = pytest.mark.real

KILLS = int(os.environ.get("HYPERPORT_KILLS", "3"))
MIB = 1 << 20


def host_tool(name: str) -> str:
    """A program of e2fsprogs; root's directories are not on everybody's PATH."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        missing(f"{name} is not installed: apt-get install e2fsprogs")
    return found


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sparse(path: Path, size: int) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
    return path


def copy_out(option: str, to: Path) -> Path:
    """What a guest with this --disk sees, as a raw image."""
    disk = open_disk(parse_disk(option))
    with to.open("wb") as file:
        for first in range(0, disk.sectors, 2048):
            count = min(2048, disk.sectors - first)
            data = disk.read_sectors(first, count)
            if data.count(0) == len(data):
                file.seek(len(data), os.SEEK_CUR)
            else:
                file.write(data)
        file.truncate(disk.sectors * 512)
    disk.close()
    return to


def check_filesystem(path: Path) -> None:
    done = subprocess.run([host_tool("e2fsck"), "-fn", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("kind", ["raw", "overlay"])
def test_ext4_keeps_64_mib_over_a_reboot(kind: str, tmp_path: Path) -> None:
    host_tool("e2fsck")
    base = sparse(tmp_path / "disk.img", 160 * MIB)
    option = f"{base}" if kind == "raw" else f"{base},overlay={tmp_path / 'overlay'}"
    before = sha256(base)
    first = run_script(
        tmp_path,
        """
        wait_for /dev/sda
        mkfs.ext4 -q /dev/sda && mount -t ext4 /dev/sda /mnt && echo mounted
        dd if=/dev/urandom of=/mnt/data bs=1M count=64 2>/dev/null
        sync
        echo 3 >/proc/sys/vm/drop_caches
        echo "sum $(md5sum </mnt/data) $(wc -c </mnt/data)"
        """,
        "--disk",
        option,
    )
    assert "mounted" in first
    written = re.search(r"^sum (\w{32})  - 67108864$", first, re.MULTILINE)
    assert written, first
    second = run_script(
        tmp_path,
        """
        wait_for /dev/sda
        mount -t ext4 /dev/sda /mnt
        dmesg | grep EXT4
        echo "sum $(md5sum </mnt/data) $(wc -c </mnt/data)"
        umount /mnt
        """,
        "--disk",
        option,
    )
    assert written[0] in second
    assert "recovery complete" in second, "the first guest did not unmount"
    check_filesystem(base if kind == "raw" else copy_out(option, tmp_path / "seen.img"))
    assert (sha256(base) == before) == (kind == "overlay")


@pytest.mark.parametrize("kind", ["raw", "overlay"])
def test_what_was_fsynced_survives_a_kill_in_mid_write(kind: str, tmp_path: Path) -> None:
    """Each round the guest finds what the last one left behind, goes on writing, and the VMM is killed."""
    base = sparse(tmp_path / "disk.img", 256 * MIB)
    subprocess.run([host_tool("mke2fs"), "-q", "-t", "ext4", str(base)], check=True)
    option = f"{base}" if kind == "raw" else f"{base},overlay={tmp_path / 'overlay'}"
    before = sha256(base)
    rounds = random.Random(kind)
    known: dict[int, str] = {}
    writer = scripted(
        tmp_path,
        """
        wait_for /dev/sda
        mount -t ext4 /dev/sda /mnt && echo mounted
        dmesg | grep "recovery complete"
        for file in /mnt/file-*; do [ -f $file ] && echo "found ${file#*-} $(md5sum <$file)"; done
        echo "looked"
        grep -q hp.last /proc/cmdline && { umount /mnt; reboot -f; }
        number=$(ls /mnt | wc -l)
        while true; do
            number=$((number + 1))
            dd if=/dev/urandom of=/mnt/file-$number bs=64k count=4 conv=fsync 2>/dev/null
            echo "synced $number $(md5sum </mnt/file-$number)"
        done
        """,
        "--disk",
        option,
    )
    for number in range(KILLS + 1):
        last = number == KILLS
        command = [f"{word} hp.last" if "hp.modules" in word and last else word for word in writer]
        output = run_and_kill(command, None if last else rounds.uniform(0.2, 2))
        assert "mounted" in output, output
        assert "looked" in output, output
        assert number == 0 or "recovery complete" in output, "the journal is replayed"
        found = {int(name): sum_ for name, sum_ in re.findall(r"^found (\d+) (\w{32}) ", output, re.MULTILINE)}
        assert {name: found.get(name) for name in known} == known
        known = {name: found[name] for name in known}
        synced = re.findall(r"^synced (\d+) (\w{32})  -$", output, re.MULTILINE)
        assert last or synced, output
        known |= {int(name): sum_ for name, sum_ in synced}
        seen = copy_out(option, tmp_path / "seen.img")
        subprocess.run([host_tool("e2fsck"), "-y", "-E", "journal_only", str(seen)], capture_output=True, check=False)
        check_filesystem(seen)
    assert len(known) >= KILLS
    assert (sha256(base) == before) == (kind == "overlay")


def run_and_kill(command: list[str], delay: float | None) -> str:
    """Console output of a guest that is killed delay seconds after it has synced its first file, or runs to its end."""
    process = subprocess.Popen(
        command,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        errors="replace",
    )
    assert process.stdout is not None
    alarm = threading.Timer(LIMIT_S, process.kill)
    alarm.start()
    output = ""
    for line in process.stdout:
        if line.startswith("synced") and "synced" not in output and delay is not None:
            threading.Timer(delay, process.kill).start()
        output += line.replace("\r", "")
    process.stdout.close()
    status = process.wait()
    alarm.cancel()
    assert status == (0 if delay is None else -9), output
    return output


def test_cdrom(tmp_path: Path) -> None:
    files = {"SMALL.TXT": b"hello from the disc\n", "DATA.BIN": random.Random(4).randbytes(3 * MIB + 5)}
    disc = tmp_path / "disc.iso"
    disc.write_bytes(image(files))
    output = run_script(
        tmp_path,
        """
        wait_for /dev/sr0
        mount -t iso9660 -o ro /dev/sr0 /mnt
        cat /mnt/small.txt
        echo "sum $(md5sum </mnt/data.bin)"
        echo "size $(cat /sys/block/sr0/size)"
        dmesg | grep ATAPI
        umount /mnt
        """,
        "--cdrom",
        str(disc),
    )
    assert "hello from the disc\n" in output
    assert f"sum {hashlib.md5(files['DATA.BIN'], usedforsecurity=False).hexdigest()}" in output
    assert f"size {disc.stat().st_size // 512}" in output
    assert "HYPERPORT CD-ROM" in output


def test_a_folder_is_a_cd(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "A Folder with a name").mkdir(parents=True)
    (folder / "readme.txt").write_text("read me\n")
    data = random.Random(5).randbytes(700_001)
    (folder / "A Folder with a name" / "more.than.one.dot").write_bytes(data)
    (folder / "run.sh").write_text("#!/bin/sh\necho it runs\n")
    (folder / "run.sh").chmod(0o755)
    said = run_script(
        tmp_path,
        """
        wait_for /dev/sr0
        mount -t iso9660 -o ro /dev/sr0 /mnt && cat /mnt/readme.txt && /mnt/run.sh && cd /mnt && sha256sum */*
        """,
        "--cdrom",
        str(folder),
    )
    assert "read me" in said
    assert "it runs" in said
    assert f"{hashlib.sha256(data).hexdigest()}  A Folder with a name/more.than.one.dot" in said


def test_debian_survives_an_unreadable_sector(tmp_path: Path) -> None:
    """One sector of the host's file gives EIO. Debian reports that sector, and no other error follows from it."""
    path = tmp_path / "disk.img"
    content = random.Random(5).randbytes(8 * MIB)
    path.write_bytes(content)
    bad = 5000
    command = scripted(
        tmp_path,
        f"""
        wait_for /dev/sda
        dd if=/dev/sda of=/dev/null bs=4k skip={bad // 8} count=1 2>&1 | grep error
        echo "before $(head -c {bad // 8 * 4096} /dev/sda | md5sum)"
        echo "after $(dd if=/dev/sda bs=4k skip={bad // 8 + 1} 2>/dev/null | md5sum)"
        echo written | dd of=/dev/sda bs=4k conv=sync,fsync 2>/dev/null
        echo 3 >/proc/sys/vm/drop_caches
        head -c 8 /dev/sda; echo
        dmesg | sed 's/^/dmesg /'
        """,
        "--disk",
        str(path),
    )
    done = subprocess.run(
        command,
        env=faulty(build(tmp_path)) | {"FAULT_FILE": str(path), "FAULT_RANGE": f"{bad * 512}-{(bad + 1) * 512}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=LIMIT_S,
        check=False,
    )
    output = done.stdout.replace("\r", "")
    assert done.returncode == 0, output
    assert re.search(r"^hyperport: hda: \d+ requests failed, the last one with: Input/output error$", done.stderr, re.M)
    assert "Input/output error" in output or "I/O error" in output, output
    for name, part in (("before", content[: bad // 8 * 4096]), ("after", content[(bad // 8 + 1) * 4096 :])):
        assert f"{name} {hashlib.md5(part, usedforsecurity=False).hexdigest()}" in output, output
    assert "written\n" in output
    errors = re.findall(r"error: \{ (.*?) \}", output)
    assert errors, output
    assert set(errors) == {"UNC"}, "each failed command is one that reads the sector"
    assert set(re.findall(r"I/O error, dev sda, sector (\d+)", output)) == {str(bad)}
    for word in (
        "ata1.00: disabled",
        "qc timeout",
        "ABRT",
        "IDNF",
        "failed to IDENTIFY",
        "limiting speed",
        "soft resetting",
    ):
        assert word not in output, output


def test_four_drives_of_both_kinds(tmp_path: Path) -> None:
    disc = tmp_path / "disc.iso"
    disc.write_bytes(image({"A.TXT": b"a\n"}))
    disks = [sparse(tmp_path / f"disk{number}", (8 + number) * MIB) for number in range(3)]
    disks[2].write_bytes(b"read-only".ljust(8 * MIB, b"\0"))
    output = run_script(
        tmp_path,
        """
        for name in sda sdb sdc sr0; do wait_for /dev/$name; echo "$name $(cat /sys/block/$name/size)"; done
        head -c 9 /dev/sdc; echo
        echo throw >/dev/sdb; sync; head -c 5 /dev/sdb; echo
        dd if=/dev/zero of=/dev/sdc bs=4k count=1 conv=fsync 2>&1 | grep error
        """,
        *("--disk", str(disks[0]), "--disk", f"{disks[1]},snapshot", "--disk", f"{disks[2]},ro", "--cdrom", str(disc)),
    )
    assert f"sda {8 * 2048}\nsdb {9 * 2048}\nsdc {8 * 2048}\nsr0 " in output
    assert "read-only\n" in output
    assert "throw\n" in output
    assert "I/O error" in output
    assert disks[1].read_bytes() == bytes(9 * MIB)
    assert disks[2].read_bytes().rstrip(b"\0") == b"read-only"


def test_ext4_on_qcow2(tmp_path: Path) -> None:
    """Written and synced by the guest, served by the qemu-nbd of --disk, checked by the host's e2fsck."""
    image, raw = tmp_path / "disk.qcow2", tmp_path / "raw"
    host_tool("qemu-nbd")
    subprocess.run([host_tool("qemu-img"), "create", "-q", "-f", "qcow2", str(image), "160M"], check=True)
    said = run_script(
        tmp_path,
        """
        wait_for /dev/sda
        mkfs.ext4 -q /dev/sda && mount -t ext4 /dev/sda /mnt
        dd if=/dev/urandom of=/mnt/file bs=1M count=16 2>/dev/null && sync && md5sum /mnt/file && umount /mnt
        """,
        *("--disk", str(image)),
    )
    subprocess.run([host_tool("qemu-img"), "check", "-q", str(image)], check=True)
    subprocess.run([host_tool("qemu-img"), "convert", "-O", "raw", str(image), str(raw)], check=True)
    check_filesystem(raw)
    assert re.search(r"[0-9a-f]{32}  /mnt/file", said)
