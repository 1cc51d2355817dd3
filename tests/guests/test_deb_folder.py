# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hyperport.errors import FetchError
from hyperport.guests import recipes
from hyperport.guests.deb_folder import DebFolder

from .repository import needs_apt, package

IMAGE = "linux-image-6.1.0-9-686"
TREE = "lib/modules/6.1.0-9-686/"


def folder_of(tmp_path: Path, *debs: Path) -> Path:
    folder = tmp_path / "debs"
    folder.mkdir()
    for deb in debs:
        shutil.copy(deb, folder)
    return folder


@needs_apt
@pytest.mark.parametrize("metapackage", [True, False])
def test_debian_from_a_folder(metapackage: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"boot/vmlinuz-6.1.0-9-686": b"kernel", TREE + "modules.builtin": b""}
    debs = [package(tmp_path, IMAGE, files), package(tmp_path, "busybox-static", {"bin/busybox": b"box"})]
    if metapackage:
        debs.append(package(tmp_path, "linux-image-686", {}, depends=f"{IMAGE} (= 1.0-1)"))
    monkeypatch.setenv("PATH", "")  # neither apt nor dpkg is needed
    source = DebFolder(folder_of(tmp_path, *debs))
    assert source.update() == ""
    plan = recipes.debian("686", {}, ())(source)
    assert plan.versions[IMAGE] == "1.0-1"
    guest = tmp_path / "guest"
    guest.mkdir()
    plan.make(guest, lambda _: None)
    assert (guest / "vmlinuz").read_bytes() == b"kernel"


@needs_apt
def test_of_several_versions_the_newest(tmp_path: Path) -> None:
    debs = [package(tmp_path, "busybox-static", {}, version=version) for version in ("1:9-1", "1:10-1", "99-1")]
    source = DebFolder(folder_of(tmp_path, *debs))
    assert source.show("busybox-static")["version"] == "1:10-1"


@needs_apt
def test_what_is_missing_is_named(tmp_path: Path) -> None:
    source = DebFolder(folder_of(tmp_path, package(tmp_path, IMAGE, {})))
    with pytest.raises(FetchError, match=r"busybox-static: not in .*; put its \.deb for i386 there"):
        recipes.debian("686", {}, ())(source)


@needs_apt
def test_a_folder_that_has_nothing(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="no such folder"):
        DebFolder(tmp_path / "absent")
    with pytest.raises(FetchError, match=r"no \.deb files for i386"):
        DebFolder(folder_of(tmp_path))
    (tmp_path / "debs" / "bad.deb").write_bytes(b"no package")
    with pytest.raises(FetchError, match=r"bad\.deb: not a whole Debian package"):
        DebFolder(tmp_path / "debs")
