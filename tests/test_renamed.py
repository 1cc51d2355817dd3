# SPDX-License-Identifier: GPL-2.0-or-later
"""What users import by an old name works for one release, with a warning that names the new one."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from hyperport import __version__
from hyperport.renamed import RENAMED, UNTIL, Finder

ROOT = Path(__file__).parents[1]


def forget(name: str) -> None:
    """Let the next import of an old module be a first one."""
    if name in RENAMED:
        sys.modules.pop(name, None)


def old_value(old: str) -> Any:
    module, _, name = old.partition(":")
    forget(module)
    value: Any = importlib.import_module(module)
    for part in name.split(".") if name else ():
        value = getattr(value, part)
    return value


def new_value(new: str) -> Any:
    module, _, name = new.partition(":")
    value: Any = importlib.import_module(module)
    for part in name.split(".") if name else ():
        value = getattr(value, part)
    return value


@pytest.mark.parametrize("old", RENAMED)
def test_the_old_name_is_the_new_thing_with_a_warning(old: str) -> None:
    new = RENAMED[old]
    said = f"{old} is now {new}; the old name goes with {UNTIL}".replace(":", ".")
    with pytest.warns(DeprecationWarning, match=re.escape(said)):
        found = old_value(old)
    if "." in old.partition(":")[2]:
        assert isinstance(found, property)
    else:
        assert found is new_value(new)


@pytest.mark.parametrize("new", sorted(set(RENAMED.values())))
def test_new_names_are_not_old_ones(new: str) -> None:
    assert new not in RENAMED
    assert new.partition(":")[0] not in RENAMED


def test_the_warning_points_at_the_line_that_imports(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import hyperport.backends.char\nfrom hyperport.config import DiskSpec\nDiskSpec(path='a')\n")
    done = subprocess.run(
        [sys.executable, "-W", "always::DeprecationWarning", str(script)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(re.findall(r"script\.py:(\d): DeprecationWarning", done.stderr)) == {"1", "2"}


def test_new_names_give_no_warning() -> None:
    code = "import hyperport, hyperport.machine.machine, hyperport.host.char; hyperport.Machine; hyperport.DiskSpec"
    subprocess.run([sys.executable, "-W", "error::DeprecationWarning", "-c", code], check=True)


def test_a_name_that_never_was_is_still_an_error() -> None:
    import hyperport.boot

    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("hyperport.backends.nothing")
    with pytest.raises(AttributeError, match=r"hyperport\.boot.*nothing"):
        getattr(hyperport.boot, "nothing")  # noqa: B009 - mypy knows that it is not there


def test_a_name_of_a_class_forwards(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "moved_example.py").write_text("class Disk:\n    failures = 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    finder: Any = Finder({"moved_example:Disk.told": "moved_example:Disk.failures"})
    monkeypatch.setattr(sys, "meta_path", [finder, *sys.meta_path])
    try:
        module: ModuleType = importlib.import_module("moved_example")
        with pytest.warns(DeprecationWarning, match=r"moved_example\.Disk\.told is now moved_example\.Disk\.failures"):
            assert module.Disk().told == 3
    finally:
        sys.modules.pop("moved_example", None)


def test_nothing_of_ours_uses_an_old_name() -> None:
    modules = {old for old in RENAMED if ":" not in old} | {"hyperport.config", "hyperport.backends", "hyperport.paths"}
    found = []
    for folder in ("src", "tests", "bench", "tools", "docs"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".py", ".pyx", ".pxd", ".pyi") and path.name not in ("renamed.py", "test_renamed.py"):
                named = set(re.findall(r"^\s*(?:from|import|c?import) (hyperport[\w.]*)", path.read_text(), re.M))
                found += [f"{path.relative_to(ROOT)}: {name}" for name in named & modules]
    assert found == []


def test_the_changelog_has_the_table() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    told = dict(re.findall(r"^\| `([\w.]+)` \| `([\w.]+)` \|", text, re.M))
    plain = {old.replace(":", "."): new.replace(":", ".") for old, new in RENAMED.items()}
    assert told == plain


def test_the_old_names_go_with_the_next_release() -> None:
    version = tuple(map(int, __version__.split(".")[:2]))
    assert version < tuple(map(int, UNTIL.split("."))), "empty the table of renamed.py, and the changelog's"


def test_importing_an_old_package_alone_is_quiet() -> None:
    sys.modules.pop("hyperport.backends", None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        importlib.import_module("hyperport.backends")
