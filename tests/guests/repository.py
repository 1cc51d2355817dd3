# SPDX-License-Identifier: GPL-2.0-or-later
"""A Debian archive in a directory, so that the real apt-get can be tried without a network."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from hyperport.guests.apt import Source

TOOLS = ("apt-get", "apt-cache", "dpkg-deb")
needs_apt = pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in TOOLS), reason="needs apt and dpkg, which this host lacks"
)


def package(folder: Path, name: str, files: dict[str, bytes], *, version: str = "1.0-1", depends: str = "") -> Path:
    """Build a .deb for i386 with these files."""
    tree = folder / f"{name}.tree"
    control = {"Package": name, "Version": version, "Architecture": "i386", "Maintainer": "nobody <n@example.org>"}
    if depends:
        control["Depends"] = depends
    control["Description"] = "a test"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text("".join(f"{key}: {value}\n" for key, value in control.items()))
    for path, data in files.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_bytes(data)
    deb = folder / f"{name}_{version}_i386.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", tree, deb], check=True, capture_output=True)
    shutil.rmtree(tree)
    return deb


def archive(folder: Path, packages: list[Path]) -> Source:
    """Lay the packages out as a mirror of the suite bookworm; the source that names it."""
    index = b""
    for deb in packages:
        content = deb.read_bytes()
        fields = subprocess.run(["dpkg-deb", "--field", deb], check=True, capture_output=True).stdout
        place = folder / "pool" / deb.name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        sha = hashlib.sha256(content).hexdigest()
        index += fields + f"Filename: pool/{deb.name}\nSize: {len(content)}\nSHA256: {sha}\n\n".encode()
    path = "main/binary-i386/Packages"
    suite = folder / "dists/bookworm"
    (suite / path).parent.mkdir(parents=True, exist_ok=True)
    (suite / path).write_bytes(index)
    release = (
        "Origin: Debian\nSuite: oldstable\nCodename: bookworm\nArchitectures: i386\nComponents: main\n"
        f"Date: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n {hashlib.sha256(index).hexdigest()} {len(index)} {path}\n"
    )
    (suite / "Release").write_text(release)
    return Source(uris=(f"file:{folder}",), suites=("bookworm",), trusted="yes")
