# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import lzma
import shutil
import stat
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperport.errors import FetchError
from hyperport.guests import initramfs
from hyperport.guests.initramfs import Entry, Module, load_order

FIELDS = (
    *("ino", "mode", "uid", "gid", "nlink", "mtime", "filesize"),
    *("devmajor", "devminor", "rdevmajor", "rdevminor", "namesize", "check"),
)


def read_cpio(data: bytes) -> list[tuple[Entry, dict[str, int]]]:
    """The entries of a newc archive, by the format's description."""
    entries: list[tuple[Entry, dict[str, int]]] = []
    at = 0
    while True:
        assert data[at : at + 6] == b"070701"
        numbers = [int(data[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(len(FIELDS))]
        head = dict(zip(FIELDS, numbers, strict=True))
        name = data[at + 110 : at + 110 + head["namesize"]]
        assert name[-1:] == b"\0"
        start = (at + 110 + head["namesize"] + 3) & ~3
        content = data[start : start + head["filesize"]]
        at = (start + head["filesize"] + 3) & ~3
        if name == b"TRAILER!!!\0":
            assert at == len(data)
            return entries
        entry = Entry(name[:-1].decode(), head["mode"], content, (head["rdevmajor"], head["rdevminor"]))
        entries.append((entry, head))


NAMES = st.text(st.characters(min_codepoint=33, exclude_categories=["Cs"]), min_size=1, max_size=30)


@given(
    st.lists(
        st.one_of(
            st.builds(initramfs.regular, NAMES, st.binary(max_size=40)),
            st.builds(initramfs.directory, NAMES),
            st.builds(initramfs.symlink, NAMES, NAMES),
            st.builds(initramfs.character_device, NAMES, st.integers(0, 4095), st.integers(0, 255)),
        ),
        max_size=8,
    )
)
def test_cpio_holds_what_was_put_in(entries: list[Entry]) -> None:
    archive = initramfs.cpio(entries)
    assert archive == initramfs.cpio(entries)
    read = read_cpio(archive)
    assert [entry for entry, _ in read] == entries
    assert [head["ino"] for _, head in read] == list(range(1, len(entries) + 1))
    assert all(head[field] == 0 for _, head in read for field in ("uid", "gid", "mtime"))


def test_cpio_starts_at_a_known_byte_sequence() -> None:
    archive = initramfs.cpio([initramfs.regular("a", b"xy")])
    head = b"07070100000001000081A40000000000000000000000010000000000000002"
    head += b"00000000" * 4 + b"0000000200000000a\0xy\0\0"
    assert archive.startswith(head)


@pytest.mark.skipif(shutil.which("cpio") is None, reason="needs cpio, which this host lacks")
def test_gnu_cpio_lists_the_guests_root() -> None:
    done = subprocess.run(["cpio", "-t"], input=initramfs.build(b"busybox"), capture_output=True, check=True)
    assert {"init", "bin/busybox", "dev/console"} <= set(done.stdout.decode().split())


def test_guests_root() -> None:
    files = {entry.path: entry for entry, _ in read_cpio(initramfs.build(b"busybox"))}
    assert files["bin/busybox"] == Entry("bin/busybox", stat.S_IFREG | 0o755, b"busybox")
    assert files["init"].mode == stat.S_IFREG | 0o755
    assert initramfs.READY.encode() in files["init"].data
    assert files["dev/console"] == Entry("dev/console", stat.S_IFCHR | 0o600, b"", (5, 1))
    assert files["bin/sh"].data == b"busybox"
    assert not any(path.startswith(f"{initramfs.SET_FOLDER}/") for path in files)
    for path in files:
        parent = path.rpartition("/")[0]
        assert not parent or stat.S_ISDIR(files[parent].mode)


def test_modules_are_listed_in_the_order_to_load_them() -> None:
    archive = initramfs.build(
        b"",
        {"a": b"A", "b": b"B"},
        {"disk": ["b", "a all=1"], "net": ["b"]},
        [initramfs.regular("bin/tool", b"T", 0o755)],
    )
    files = {entry.path: entry for entry, _ in read_cpio(archive)}
    assert files["etc/modules/disk"].data == b"b\na all=1\n"
    assert files["etc/modules/net"].data == b"b\n"
    assert files["lib/modules/a.ko"].data == b"A"
    assert files["bin/tool"].data == b"T"


@pytest.mark.skipif(shutil.which("sh") is None, reason="needs sh")
@pytest.mark.parametrize("script", [initramfs.INIT, initramfs.LOAD])
def test_scripts_are_shell(script: str) -> None:
    subprocess.run(["sh", "-n"], input=script.encode(), check=True, capture_output=True)


MODULES = {
    "ext4": Module("fs/ext4.ko", ("mbcache", "jbd2")),
    "jbd2": Module("fs/jbd2.ko", ("crc16",)),
    "mbcache": Module("fs/mbcache.ko", ()),
    "crc16": Module("lib/crc16.ko", ()),
    "sd_mod": Module("scsi/sd_mod.ko", ("scsi_mod", "crc16")),
    "ring_a": Module("a.ko", ("ring_b",)),
    "ring_b": Module("b.ko", ("ring_a",)),
}


def test_modules_come_after_what_they_need() -> None:
    order = [initramfs.module_name(module.path) for module in load_order(["ext4", "sd-mod"], MODULES, ["scsi_mod"])]
    assert order == ["mbcache", "crc16", "jbd2", "ext4", "sd_mod"]


def test_a_circle_ends() -> None:
    assert {module.path for module in load_order(["ring_a"], MODULES)} == {"a.ko", "b.ko"}


def test_a_module_that_is_nowhere() -> None:
    with pytest.raises(FetchError, match=r"kernel module scsi_mod \(needed by sd_mod\)"):
        load_order(["sd_mod"], MODULES)
    with pytest.raises(FetchError, match=r"kernel module ne \(wanted\)"):
        load_order(["ne"], MODULES)


def test_modinfo() -> None:
    data = b"\x7fELF...\0license=GPL\0depends=jbd2,crc-16\0name=ext4\0"
    assert initramfs.module_depends(data) == ("jbd2", "crc_16")
    assert initramfs.module_depends(b"\0depends=\0") == ()
    assert initramfs.module_depends(b"") == ()
    assert initramfs.module_name("kernel/drivers/ne2k-pci.ko.xz") == "ne2k_pci"


def test_compressed_modules() -> None:
    assert initramfs.module_content("a.ko", b"plain") == b"plain"
    assert initramfs.module_content("a.ko.xz", lzma.compress(b"packed")) == b"packed"
    with pytest.raises(FetchError, match=r"a\.ko\.xz: not a whole xz file"):
        initramfs.module_content("a.ko.xz", b"no")
