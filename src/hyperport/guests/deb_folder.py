# SPDX-License-Identifier: GPL-2.0-or-later
"""A folder with .deb files in the place of an archive, for hosts without apt: python-debian reads them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from hyperport.errors import FetchError
from hyperport.guests.apt import ARCHITECTURE, dependency_names, opened


class DebFolder:
    """The packages in a folder, with what recipes ask of Apt. Every failure is a FetchError.

    Nothing is checked against signatures: who has put the files there answers for them.
    """

    trouble = ""

    def __init__(self, folder: Path) -> None:
        from debian.debian_support import NativeVersion

        if not folder.is_dir():
            raise FetchError(f"{folder}: no such folder; give one with .deb files")
        self.folder = folder
        self.files: dict[str, Path] = {}
        newest: dict[str, NativeVersion] = {}
        for path in sorted(folder.glob("*.deb")):
            fields = self._fields(path)
            name, version = fields["package"], NativeVersion(fields["version"])
            if fields.get("architecture") in (ARCHITECTURE, "all") and version >= newest.get(name, version):
                self.files[name], newest[name] = path, version
        if not self.files:
            raise FetchError(f"{folder}: no .deb files for {ARCHITECTURE} are in it")

    def update(self) -> str:
        """There is no list to read."""
        return ""

    def show(self, package: str) -> Mapping[str, str]:
        """The control fields of a package, by lower-case name."""
        path = self._file(package)
        return {**self._fields(path), "size": str(path.stat().st_size)}

    def dependencies(self, package: str) -> list[str]:
        """Names that a package depends on. Where a kernel's metapackage is not there, the kernels that are."""
        if package not in self.files and package.startswith("linux-image-"):
            flavour = package.removeprefix("linux-image")
            return [name for name in self.files if name.startswith("linux-image-") and name.endswith(flavour)]
        return dependency_names(self.show(package).get("depends", ""))

    def download(self, package: str, directory: Path) -> Path:
        """The package's file, copied into directory."""
        return Path(shutil.copy(self._file(package), directory))

    def _file(self, package: str) -> Path:
        if package not in self.files:
            raise FetchError(f"{package}: not in {self.folder}; put its .deb for {ARCHITECTURE} there")
        return self.files[package]

    def _fields(self, path: Path) -> dict[str, str]:
        with opened(path) as deb:
            fields = {name.lower(): value for name, value in deb.debcontrol().items()}
        if "package" not in fields or "version" not in fields:
            raise FetchError(f"{path}: not a whole Debian package (no name or version); fetch it again")
        return fields
