# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest

from hyperport.errors import FetchError
from hyperport.guests import recipes
from hyperport.guests.apt import Apt
from hyperport.guests.recipes import Tool

from .repository import archive, needs_apt, package

IMAGE = "linux-image-6.1.0-9-686"
TREE = "lib/modules/6.1.0-9-686/"


def test_real_image_is_the_one_of_the_flavour() -> None:
    names = ["kmod", "linux-image-6.1.0-9-686", "linux-image-6.1.0-9-686-pae"]
    assert recipes.real_image(names, "686") == names[1]
    assert recipes.real_image(names, "686-pae") == names[2]
    with pytest.raises(FetchError, match="linux-image-rt: depends on no kernel"):
        recipes.real_image(names, "rt")


@needs_apt
def test_debian_from_an_archive(tmp_path: Path) -> None:
    files = {
        "boot/vmlinuz-6.1.0-9-686": b"kernel",
        TREE + "kernel/ne.ko": b"NE\0depends=8390p\0",
        TREE + "kernel/8390p.ko": b"8390\0depends=\0",
        TREE + "kernel/other.ko": b"other\0depends=\0",
        TREE + "modules.builtin": b"kernel/lib/crc16.ko\n",
    }
    debs = [
        package(tmp_path, "linux-image-686", {}, depends=f"{IMAGE} (= 1.0-1)"),
        package(tmp_path, IMAGE, files),
        package(tmp_path, "busybox-static", {"bin/busybox": b"box"}, version="2"),
        package(tmp_path, "tools", {"usr/sbin/mktool": b"tool"}, depends="libtool1t64 (>= 1)"),
        package(tmp_path, "libtool1t64", {"usr/lib/i386-linux-gnu/libtool.so.1.2": b"library"}),
    ]
    apt = Apt(tmp_path / "apt", [archive(tmp_path / "mirror", debs)])
    apt.update()
    sets = {"net": ("ne io=0x300", "crc16"), "all": ("8390p", "ne")}
    tools = (Tool("tools", "sbin/mktool", "bin/mk"), Tool("libtool1", "lib/*/libtool.so.*", "lib/"))
    plan = recipes.debian("686", sets, tools)(apt)
    assert (plan.versions[IMAGE], plan.versions["busybox-static"]) == ("1.0-1", "2")
    assert plan.versions["libtool1t64"]
    assert plan.versions["initramfs"] != recipes.debian("686", {}, tools)(apt).versions["initramfs"]
    said: list[str] = []
    folder = tmp_path / "guest"
    folder.mkdir()
    plan.make(folder, said.append)
    assert sorted(path.name for path in folder.iterdir()) == ["initramfs.cpio", "vmlinuz"]
    assert (folder / "vmlinuz").read_bytes() == b"kernel"
    content = (folder / "initramfs.cpio").read_bytes()
    assert b"8390p\nne io=0x300\n" in content
    assert b"8390p\nne\n" in content
    assert content.count(b"lib/modules/ne.ko\0") == 1
    assert b"bin/mk\0" in content
    assert b"lib/libtool.so.1\0" in content
    assert b"other" not in content
    assert said[0].startswith(f"downloading {IMAGE} 1.0-1 (")


@needs_apt
def test_memtest_from_an_archive(tmp_path: Path) -> None:
    deb = package(tmp_path, "memtest86+", {"boot/memtest86+ia32.bin": b"test", "boot/memtest86+x64.bin": b"no"})
    apt = Apt(tmp_path / "apt", [archive(tmp_path / "mirror", [deb])])
    apt.update()
    folder = tmp_path / "guest"
    folder.mkdir()
    recipes.memtest(apt).make(folder, print)
    assert [path.name for path in folder.iterdir()] == ["memtest86+ia32.bin"]
    assert (folder / "memtest86+ia32.bin").read_bytes() == b"test"


@needs_apt
def test_busybox_in_either_place(tmp_path: Path) -> None:
    assert recipes.read_busybox(package(tmp_path, "new", {"usr/bin/busybox": b"box"})) == b"box"
    with pytest.raises(FetchError, match="has no busybox"):
        recipes.read_busybox(package(tmp_path, "none", {"bin/other": b""}))
