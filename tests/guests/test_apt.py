# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperport.errors import FetchError
from hyperport.guests import apt
from hyperport.guests.apt import Apt, Source, for_guests, is_debian, parse_deb822, parse_one_line, system_sources

from .repository import archive, needs_apt, package

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def test_one_line_style() -> None:
    text = """
# deb http://deb.debian.org/debian sid main
deb http://deb.debian.org/debian bookworm main contrib # comment
deb-src http://deb.debian.org/debian bookworm main
  deb [ arch=amd64,i386 signed-by=/k.gpg trusted=yes ] https://mirror.example/debian/ bookworm-updates main
deb http://broken.example
"""
    assert parse_one_line(text) == [
        Source(("http://deb.debian.org/debian",), ("bookworm",), ("main", "contrib")),
        Source(("https://mirror.example/debian/",), ("bookworm-updates",), ("main",), "/k.gpg", "yes"),
    ]


def test_deb822_style() -> None:
    text = f"""\
# a comment
Types: deb deb-src
URIs: http://deb.debian.org/debian http://mirror.example/debian
# another, inside
Suites: bookworm
 bookworm-updates
Components: main
Signed-By: {KEYRING}

Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main
Enabled: no

Types: deb-src
URIs: http://source.example/debian
Suites: bookworm
Components: main

Suites: bookworm
"""
    uris = ("http://deb.debian.org/debian", "http://mirror.example/debian")
    assert parse_deb822(text) == [Source(uris, ("bookworm", "bookworm-updates"), ("main",), KEYRING)]


def test_a_key_within_the_source_is_kept_line_by_line() -> None:
    text = "Types: deb\nURIs: http://m/debian\nSuites: sid\nComponents: main\nSigned-By:\n -----BEGIN\n .\n abc\n"
    (source,) = parse_deb822(text)
    assert "Signed-By: \n -----BEGIN\n .\n abc\n" in source.text()


def test_a_text_is_no_name_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("Types: deb\nURIs: http://m/debian\nSuites: sid\n")
    assert parse_deb822(str(tmp_path / "a")) == []
    assert parse_deb822("0" * 300) == []


@given(st.text())
def test_any_text_is_parsed(text: str) -> None:
    for source in parse_one_line(text) + parse_deb822(text):
        assert source.uris
        assert source.suites


@pytest.mark.parametrize(
    ("uri", "components", "signed_by", "expected"),
    [
        ("http://deb.debian.org/debian", ("main",), "", True),
        ("http://deb.debian.org/debian-security/", ("main", "contrib"), KEYRING, True),
        ("http://security.debian.org/", ("main",), "", True),
        ("https://snapshot.debian.org/archive/debian/20250520T000000Z", ("main",), "", True),
        ("http://proxy.example/debian", ("main",), "", True),
        ("mirror+file:///etc/apt/mirrors/debian.list", ("main",), "", True),
        ("https://download.docker.com/linux/debian", ("stable",), "/etc/apt/keyrings/docker.asc", False),
        ("https://repo.example/product/debian", ("main",), "/usr/share/keyrings/product.gpg", False),
        ("https://packages.microsoft.com/debian/12/prod", ("main",), "", False),
        ("http://archive.ubuntu.com/ubuntu", ("main",), "", False),
        ("http://deb.debian.org/debian", ("contrib",), "", False),
        ("http://[broken/debian", ("main",), "", False),
    ],
)
def test_debian_is_told_from_third_parties(
    uri: str, components: tuple[str, ...], signed_by: str, expected: bool
) -> None:
    assert is_debian(Source((uri,), ("bookworm",), components, signed_by)) is expected


@pytest.mark.parametrize(
    ("suites", "expected"),
    [
        (("bookworm", "bookworm-updates", "bookworm-security"), ("bookworm", "bookworm-updates", "bookworm-security")),
        (("bullseye", "bullseye-security"), ("bullseye", "bullseye-security")),
        (("trixie", "trixie-updates", "trixie-security"), ("bookworm", "bookworm-updates", "bookworm-security")),
        (("stable", "sid", "bookworm"), ("bookworm",)),
        (("buster/updates",), ("bookworm-security",)),
        (("bookworm-backports", "experimental", "./"), None),
    ],
)
def test_suites_are_those_with_i386_kernels(suites: tuple[str, ...], expected: tuple[str, ...] | None) -> None:
    source = for_guests(Source(("http://deb.debian.org/debian",), suites))
    assert (source.suites if source else None) == expected


def test_system_sources_of_both_styles_without_third_parties(tmp_path: Path) -> None:
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    (tmp_path / "sources.list").write_text("deb http://one.example/debian bookworm main\n")
    (parts / "a.list").write_text("deb http://apt.postgresql.org/pub/repos/apt bookworm-pgdg main\n")
    (parts / "b.sources").write_text("Types: deb\nURIs: http://two.example/debian\nSuites: trixie\nComponents: main\n")
    (parts / "c.sources.disabled").write_text((parts / "b.sources").read_text())
    assert system_sources(tmp_path) == [
        Source(("http://one.example/debian",), ("bookworm",)),
        Source(("http://two.example/debian",), ("bookworm",)),
    ]


def test_debians_own_archive_where_the_host_has_none(tmp_path: Path) -> None:
    (source,) = system_sources(tmp_path)
    assert (source.uris, source.suites) == (("http://deb.debian.org/debian",), ("bookworm",))


def test_every_directory_that_apt_writes_is_private() -> None:
    lines = apt.configuration(Path("/c"), user="root").splitlines()
    settings = dict(line.rstrip(";").split(" ", 1) for line in lines if not line.startswith("#"))
    private = [name for name in settings if name.startswith(("Dir::State", "Dir::Log", "Dir::Etc"))]
    assert {"Dir::State", "Dir::State::lists", "Dir::State::status", "Dir::Etc::sourcelist"} <= set(private)
    assert all(settings[name].startswith('"/c/') for name in [*private, "Dir::Cache", "Dir::Cache::archives"])
    assert settings["APT::Architecture"] == settings["APT::Architectures"] == '"i386"'
    assert settings["APT::Sandbox::User"] == '"root"'
    assert "#clear APT::Update::Post-Invoke;" in lines
    assert not any(name in settings for name in ("Dir::Etc::trusted", "Dir::Etc::trustedparts", "Dir::Etc::parts"))
    assert "Sandbox" not in apt.configuration(Path("/c"))


def test_dependency_names() -> None:
    text = "linux-image-6.1.0-9-686 (= 6.1.1), kmod, first | other (>= 1), libc6:i386, ${odd}"
    assert apt.dependency_names(text) == ["linux-image-6.1.0-9-686", "kmod", "first", "libc6"]


@pytest.mark.parametrize(
    ("stderr", "expected"),
    [
        ("W: x\nE: Unable to locate package y\n", "E: Unable to locate package y; the Debian archives"),
        ("E: The repository 'z' is not signed.\n", "install the package debian-archive-keyring"),
        ("Err:1 http://m x\n  Could not resolve 'm'\n", "check the network and the proxy"),
        ("E: Failed to fetch m  Mirror sync in progress?\n", "try again later"),
        ("", "failed in silence"),
    ],
)
def test_reason_is_one_line_with_advice(stderr: str, expected: str) -> None:
    line = apt.reason(stderr)
    assert expected in line
    assert "\n" not in line


def test_without_apt_one_line_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FetchError, match=r"^apt-get: not found; .*Debian, Ubuntu"):
        Apt(tmp_path / "apt")


@needs_apt
def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FetchError, match="XDG_CACHE_HOME"):
        Apt(tmp_path / "file" / "apt")
    with pytest.raises(FetchError, match="apt cannot take this name"):
        Apt(tmp_path / 'quo"te')


@needs_apt
def test_apt_fetches_from_an_archive_with_private_state(tmp_path: Path) -> None:
    debs = [package(tmp_path, "one", {"boot/one": b"1"}, depends="two-3 (>= 1) | x"), package(tmp_path, "two-3", {})]
    private = Apt(tmp_path / "apt", [archive(tmp_path / "mirror", debs)])
    assert private.update() == ""
    assert private.show("one")["version"] == "1.0-1"
    assert private.dependencies("one") == ["two-3"]
    (tmp_path / "here").mkdir()
    deb = private.download("one", tmp_path / "here")
    assert deb.read_bytes() == debs[0].read_bytes()
    with pytest.raises(FetchError, match="three"):
        private.show("three")


@needs_apt
def test_one_archive_of_two_may_fail(tmp_path: Path) -> None:
    good = archive(tmp_path / "mirror", [package(tmp_path, "one", {})])
    bad = Source(uris=(f"file:{tmp_path}/nothing",), suites=("bookworm",), trusted="yes")
    private = Apt(tmp_path / "apt", [good, bad])
    assert "nothing" in private.update()
    assert private.show("one")["package"] == "one"
    with pytest.raises(FetchError, match="nothing"):
        private.show("two")
    with pytest.raises(FetchError, match="nothing"):
        Apt(tmp_path / "other", [bad]).update()


@needs_apt
def test_members_of_a_package(tmp_path: Path) -> None:
    deb = package(tmp_path, "one", {"boot/a": b"A", "boot/b": b"B" * 100_000, "etc/c": b""})
    assert [member.path for member in apt.members(deb, lambda path: path.startswith("boot/"))] == ["boot/a", "boot/b"]
    assert apt.read_member(deb, "boot/b").data == b"B" * 100_000
    with pytest.raises(FetchError, match="has no boot/z"):
        apt.read_member(deb, "boot/z")


@needs_apt
@pytest.mark.parametrize("keep", [0, 10, 300])
def test_a_package_that_is_cut_off(tmp_path: Path, keep: int) -> None:
    deb = package(tmp_path, "one", {"boot/a": bytes(range(256)) * 4000})
    deb.write_bytes(deb.read_bytes()[:keep])
    with pytest.raises(FetchError, match="not a whole Debian package"):
        list(apt.members(deb, lambda path: True))
