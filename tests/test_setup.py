# SPDX-License-Identifier: GPL-2.0-or-later
"""setup.py, on a package of three modules: what is compiled when, and what is left in the tree."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]
LIMIT_S: Final = 240
COPIED: Final = ("setup.py", "src/hyperport/supported_host.py", "src/hyperport/guests/toolchain.py")
WRITTEN: Final = {
    "pyproject.toml": "[project]\nname = 'tiny'\nversion = '1'\n[tool.setuptools]\npackage-dir = { '' = 'src' }\n"
    "[tool.setuptools.packages.find]\nwhere = ['src']\n",
    "guest/rom/vmi.S": ".byte 1\n",
    "guest/rom/handlers.S": ".byte 1\n",
    "guest/programs/flat.S": ".byte 2\n",
    "src/hyperport/__init__.py": "",
    "src/hyperport/alone.pyx": "def value():\n    return 1\n",
    "src/hyperport/base.pxd": "cdef extern from 'number.h':\n    int NUMBER\n"
    "cdef class Base:\n    cdef int value(self)\n",
    "src/hyperport/base.pyx": "cdef class Base:\n    cdef int value(self):\n        return NUMBER\n",
    "src/hyperport/user.pyx": "from hyperport.base cimport Base\ninclude 'more.pxi'\n",
    "src/hyperport/more.pxi": "def value():\n    return Base().value() + 10\n",
    "src/hyperport/number.h": "#define NUMBER 5\n",
}


class Tree:
    """A package that is built in its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in COPIED:
            self.write(name, (ROOT / name).read_text())
        for name, text in WRITTEN.items():
            self.write(name, text)

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def build(self) -> set[str]:
        """The modules that were compiled."""
        done = self.run("setup.py", "build_ext", "--inplace")
        return set(re.findall(r"^building 'hyperport\.(\w+)' extension", done, re.M))

    def value(self, module: str) -> int:
        return int(self.run("-c", f"import hyperport.{module}; print(hyperport.{module}.value())"))

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(self.folder / "src")},
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def libraries(self) -> set[str]:
        return {path.name.partition(".")[0] for path in (self.folder / "src" / "hyperport").glob("*.so")}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    tree = Tree(tmp_path_factory.mktemp("built"))
    assert tree.build() == {"_cython", "alone", "base", "user"}
    return tree


@pytest.fixture
def tree(built: Tree, tmp_path: Path) -> Tree:
    shutil.copytree(built.folder, tmp_path / "tree", dirs_exist_ok=True)
    copied = Tree.__new__(Tree)
    copied.folder = tmp_path / "tree"
    return copied


def test_nothing_is_compiled_twice(tree: Tree) -> None:
    (tree.folder / "src/hyperport/base.pyx").touch()
    assert tree.build() == set()
    assert (tree.value("alone"), tree.value("user")) == (1, 15)


@pytest.mark.parametrize(
    ("name", "compiled", "value"),
    [
        ("src/hyperport/base.pxd", {"base", "user"}, 15),
        ("src/hyperport/more.pxi", {"user"}, 15),
        ("src/hyperport/alone.pyx", {"alone"}, 15),
    ],
)
def test_a_change_compiles_what_it_reaches(tree: Tree, name: str, compiled: set[str], value: int) -> None:
    tree.write(name, WRITTEN[name] + "# changed\n")
    assert tree.build() == compiled
    assert tree.value("user") == value


def test_a_header_that_is_older_than_the_library_counts_too(tree: Tree) -> None:
    header = tree.folder / "src/hyperport/number.h"
    header.write_text("#define NUMBER 7\n")
    os.utime(header, (1, 1))
    assert {"base"} <= tree.build() <= {"base", "user"}  # user's C includes it as well
    assert tree.value("user") == 17


def test_a_definition_that_appears_is_seen(tree: Tree) -> None:
    tree.write("src/hyperport/alone.pxd", "cdef int hidden\n")
    assert tree.build() == {"alone"}
    assert tree.build() == set()


def test_a_module_that_goes_leaves_nothing(tree: Tree) -> None:
    (tree.folder / "src/hyperport/alone.pyx").rename(tree.folder / "src/hyperport/moved.pyx")
    assert tree.build() == {"moved"}
    assert tree.libraries() == {"_cython", "base", "moved", "user"}


def test_a_library_that_python_would_load_first_is_removed(tree: Tree) -> None:
    stray = tree.folder / "src/hyperport/alone.abi3.so"
    stray.write_bytes(b"")
    assert tree.build() == set()
    assert not stray.exists()


def test_guest_programs_follow_their_sources(tree: Tree) -> None:
    folder = tree.folder / "src/hyperport/guests/bin"
    assert (folder / "flat.bin").read_bytes() == b"\2"
    (tree.folder / "guest/programs/flat.S").unlink()
    tree.write("guest/programs/other.S", ".byte 3\n")
    tree.build()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"other.bin": b"\3"}
