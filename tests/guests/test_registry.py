# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hyperport.cli.fetch import fetch as fetch_verb
from hyperport.cli.options import VERBS
from hyperport.errors import ConfigError, FetchError
from hyperport.guests import apt, registry
from hyperport.guests.apt import Packages, Progress
from hyperport.guests.recipes import Plan
from hyperport.host.cache import NO_HOME, cache_directory

from ..conftest import run_command


class FakeApt:
    """Stands for apt where only the registry is tried."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def update(self) -> str:
        return ""


class Recipe:
    """A recipe that makes the files of the guest "debian" and counts how often."""

    def __init__(self) -> None:
        self.version = "1"
        self.made = 0
        self.error: Exception | None = None

    def __call__(self, apt: Packages) -> Plan:
        return Plan({"package": self.version}, self.make)

    def make(self, directory: Path, progress: Progress) -> None:
        self.made += 1
        (directory / "vmlinuz").write_text(self.version)
        if self.error is not None:
            raise self.error
        (directory / "initramfs.cpio").write_text("root")


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(apt, "Apt", FakeApt)
    recipe = Recipe()
    monkeypatch.setitem(registry.GUESTS, "debian", replace(registry.GUESTS["debian"], recipe=recipe, stamp=None))
    return recipe


def test_known_guests_have_what_a_list_shows() -> None:
    assert {"debian", "debian-pae", "memtest", "demo", "stress", "outcome"} <= set(registry.GUESTS)
    for name, guest in registry.GUESTS.items():
        assert guest.name == name
        assert guest.description
        assert "\n" not in guest.description
        assert guest.memory % 4096 == 0
    assert "console=ttyS0" in registry.GUESTS["debian"].append.split()


def test_a_need_names_an_option_and_the_setting_that_it_makes() -> None:
    rows = {row.flag: row.word for row in VERBS["run"].rows()}
    needs = {guest.name: guest.need for guest in registry.GUESTS.values() if guest.need is not None}
    assert set(needs) == {"diskbench", "netbench", "devtest", "vmiguest", "vmicalls"}
    for need in needs.values():
        assert rows[need.option.split()[0]] == need.word


@pytest.mark.parametrize(
    ("arguments", "status", "line"),
    [
        (("strings", "--append", "n=1"), 1, "the guest exited with value 0"),
        (("strings", "--append", "n=1", "--testdev=off"), 5, "the guest exited with value 2"),
        (("diskbench",), 3, "guest diskbench: it reads a disk, and there is none: add --disk FILE"),
        (("netbench",), 3, "guest netbench: it drives a network card, and there is none: add --net none"),
        (("devtest",), 3, "guest devtest: the device that it drives is not there: add --device docs/examples/doorbell"),
    ],
)
def test_a_built_in_guest_has_what_it_needs_or_says_the_option(
    arguments: tuple[str, ...], status: int, line: str
) -> None:
    done = run_command(*arguments)
    assert done.returncode == status
    assert done.stderr.count(f"hyperport: {line}") == 1


def test_cache_follows_xdg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert cache_directory() == tmp_path / "x" / "hyperport"
    monkeypatch.setenv("HOME", str(tmp_path))
    for unset in ("", "relative/path"):  # "consider the path invalid and ignore it"
        monkeypatch.setenv("XDG_CACHE_HOME", unset)
        assert cache_directory() == tmp_path / ".cache" / "hyperport"


def test_a_user_without_a_home_directory_can_set_another(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_directory() == NO_HOME / ".cache" / "hyperport"
    monkeypatch.setenv("XDG_CACHE_HOME", "/tmp")
    assert cache_directory() == Path("/tmp/hyperport")


def test_unknown_name() -> None:
    with pytest.raises(ConfigError, match=r"guest 'debain': neither a file nor known; known are debian, "):
        registry.locate("debain")


def test_what_was_not_fetched_is_told_how_to_fetch(recipe: Recipe) -> None:
    with pytest.raises(FetchError, match="hyperport fetch debian"):
        registry.locate("debian")


def test_fetch_then_locate(recipe: Recipe, tmp_path: Path) -> None:
    said: list[str] = []
    guest = registry.fetch("debian", said.append)
    assert guest == registry.locate("debian")
    assert guest.kernel == tmp_path / "hyperport/guests/debian/vmlinuz"
    assert guest.initrd == tmp_path / "hyperport/guests/debian/initramfs.cpio"
    assert guest.kernel.read_text() == "1"
    assert guest.versions == {"package": "1"}
    manifest = json.loads((guest.kernel.parent / "manifest.json").read_text())
    assert manifest == {"name": "debian", "versions": {"package": "1"}}
    assert said[-1].startswith("debian: ready in ")


def test_a_second_fetch_changes_nothing_until_versions_change(recipe: Recipe) -> None:
    registry.fetch("debian")
    said: list[str] = []
    registry.fetch("debian", said.append)
    assert recipe.made == 1
    assert "up to date" in said[-1]
    recipe.version = "2"
    guest = registry.fetch("debian")
    assert recipe.made == 2
    assert guest.kernel.read_text() == "2"
    assert [path.name for path in guest.kernel.parent.parent.iterdir()] == ["debian"]


def test_a_failed_fetch_leaves_the_old_guest(recipe: Recipe) -> None:
    registry.fetch("debian")
    recipe.version, recipe.error = "2", FetchError("cut off")
    with pytest.raises(FetchError, match="cut off"):
        registry.fetch("debian")
    guest = registry.locate("debian")
    assert guest.kernel.read_text() == "1"
    assert [path.name for path in guest.kernel.parent.parent.iterdir()] == ["debian"]


def test_a_full_disk_is_one_line(recipe: Recipe) -> None:
    recipe.error = OSError(28, "No space left on device")
    with pytest.raises(FetchError, match=r"No space left on device; make room"):
        registry.fetch("debian")


@pytest.mark.parametrize("damage", ["manifest.json", "vmlinuz", "initramfs.cpio"])
def test_a_guest_that_is_not_whole_is_fetched_again(recipe: Recipe, damage: str) -> None:
    folder = registry.fetch("debian").kernel.parent
    (folder / damage).unlink()
    with pytest.raises(FetchError, match="hyperport fetch debian"):
        registry.locate("debian")
    assert registry.fetch("debian").kernel.is_file()
    assert recipe.made == 2


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{}", '{"name": "other", "versions": {}}', "\xff", '"\xff"', "[" * 100_000),
        *(
            '{"name": "debian", "versions": []}',
            '{"name": "debian", "versions": {"a": 1}}',
            '{"name": 1, "versions": {}}',
        ),
    ],
)
def test_a_manifest_that_makes_no_sense(recipe: Recipe, text: str) -> None:
    folder = registry.fetch("debian").kernel.parent
    (folder / "manifest.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(FetchError, match="hyperport fetch debian"):
        registry.locate("debian")


def test_a_cache_that_cannot_be_written(tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(FetchError, match="set XDG_CACHE_HOME"):
        registry.fetch("debian")


def test_a_builtin_that_was_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    guest = registry.Guest("ghost", "not there", "ghost.elf")
    monkeypatch.setitem(registry.GUESTS, "ghost", guest)
    with pytest.raises(FetchError, match=r"ghost\.elf is not in .*make build"):
        registry.locate("ghost")


def test_the_verb_reports_on_stderr(recipe: Recipe, capsys: pytest.CaptureFixture[str]) -> None:
    fetch_verb("debian")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[-1].startswith("debian: ready in ")


def test_the_verb_downloads_nothing_if_one_name_is_wrong(recipe: Recipe) -> None:
    with pytest.raises(ConfigError):
        fetch_verb("debian", "nonsense")
    assert recipe.made == 0


def test_guest_of_another_recipe_is_out_of_date(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    registry.fetch("debian")
    registry.locate("debian")
    monkeypatch.setitem(registry.GUESTS, "debian", replace(registry.GUESTS["debian"], stamp=lambda: "new"))
    with pytest.raises(FetchError, match="is of another hyperport; renew it with: hyperport fetch debian"):
        registry.locate("debian")
