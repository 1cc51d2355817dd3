# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian packages for i386 by the host's own apt-get, with private state: nothing of the system's apt changes.

apt-get reads the system's configuration first (a proxy set there stays in force), then the file written here.
The Debian archives among the system's sources are kept with their mirrors and keys; other archives are left out,
since they may fail or have nothing for i386. Debian 12 is the last release with i386 kernels, so entries for
other releases are read as if they named it.

Control fields and packages are read by python-debian. It has no reader for sources.list, so that is here.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit

from hyperport.errors import FetchError

if TYPE_CHECKING:
    from debian.debfile import DebFile

ARCHITECTURE: Final = "i386"
RELEASES: Final = ("bookworm", "bullseye")  # Debian releases that have i386 kernels, the one to prefer first
KEYRINGS: Final = (
    Path("/usr/share/keyrings/debian-archive-keyring.gpg"),
    Path("/usr/share/keyrings/debian-archive-keyring.pgp"),
)
SYSTEM_SOURCES: Final = Path("/etc/apt")
TIMEOUT: Final = 1800  # seconds for one run of apt-get

DEBIAN_URI: Final = re.compile(r"/debian(-security)?(\.list|/\d{8}T\d{6}Z)?/?$")
DEBIAN_HOST: Final = re.compile(r"(^|\.)debian\.org$")
SUITE: Final = re.compile(r"^(?P<release>[a-z]+)(?P<pocket>-updates|-security|/updates)?$")

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Source:
    """One archive in the words of deb822 (sources.list(5)): signed_by is a keyring's path, a fingerprint or a key."""

    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...] = ("main",)
    signed_by: str = ""
    trusted: str = ""

    def text(self) -> str:
        """The stanza for a private .sources file, for i386 and component main."""
        rows = {
            "Types": "deb",
            "URIs": " ".join(self.uris),
            "Suites": " ".join(self.suites),
            "Components": "main",
            "Architectures": ARCHITECTURE,
            "Signed-By": self.signed_by,
            "Trusted": self.trusted,
        }
        return "".join(f"{key}: {value}\n" for key, value in rows.items() if value)


def parse_one_line(text: str) -> list[Source]:
    """Sources of a sources.list in the one-line style; deb-src lines and lines that make no sense are left out."""
    found = []
    for line in text.splitlines():
        match = re.match(r"\s*deb\s+(?:\[(?P<options>[^\]]*)\]\s*)?(?P<rest>[^#]*)", line)
        words = match["rest"].split() if match else []
        if match is None or len(words) < 3:
            continue
        options = dict(word.split("=", 1) for word in (match["options"] or "").split() if "=" in word)
        found.append(
            Source(
                uris=(words[0],),
                suites=(words[1],),
                components=tuple(words[2:]),
                signed_by=options.get("signed-by", ""),
                trusted=options.get("trusted", ""),
            )
        )
    return found


def parse_deb822(text: str) -> list[Source]:
    """Sources of a .sources file; stanzas that are disabled, incomplete or not of type deb are left out."""
    from debian.deb822 import Deb822

    found = []
    lines = text.splitlines()  # a str could be the name of a file, which it would read
    for stanza in Deb822.iter_paragraphs(lines, use_apt_pkg=False):
        fields = {name.lower(): value for name, value in stanza.items()}
        uris, suites = fields.get("uris", "").split(), fields.get("suites", "").split()
        enabled = fields.get("enabled", "yes").lower() not in ("no", "false", "0", "off")
        if enabled and uris and suites and "deb" in fields.get("types", "").split():
            found.append(
                Source(
                    uris=tuple(uris),
                    suites=tuple(suites),
                    components=tuple(fields.get("components", "").split()),
                    signed_by=fields.get("signed-by", ""),
                    trusted=fields.get("trusted", ""),
                )
            )
    return found


def parse_stanza(stanza: str) -> dict[str, str]:
    """Fields of one deb822 paragraph by lower-case name; continuation lines keep their indentation."""
    from debian.deb822 import Deb822

    return {name.lower(): value for name, value in Deb822(stanza).items()}


def is_debian(source: Source) -> bool:
    """Whether this is a mirror of Debian's own archive, and not a third party's that looks like one."""
    keys_of_debian = "/" not in source.signed_by or "debian-archive" in source.signed_by
    return "main" in source.components and keys_of_debian and any(map(_is_debian_uri, source.uris))


def _is_debian_uri(uri: str) -> bool:
    try:
        parts = urlsplit(uri)
        return bool(DEBIAN_URI.search(parts.path) or DEBIAN_HOST.search(parts.hostname or ""))
    except ValueError:  # what apt itself cannot use either
        return False


def for_guests(source: Source) -> Source | None:
    """The source with suites that have i386 kernels; None if no suite of it is a release, its updates or security."""
    suites: list[str] = []
    for suite in source.suites:
        match = SUITE.match(suite.rstrip("/"))
        if match is None or match["release"] in ("experimental", "proposed"):
            continue
        release, pocket = match["release"], match["pocket"] or ""
        if release not in RELEASES:
            release, pocket = RELEASES[0], pocket.replace("/updates", "-security")
        suites.append(release + pocket)
    uris = tuple(uri for uri in source.uris if _is_debian_uri(uri))
    return replace(source, uris=uris, suites=tuple(dict.fromkeys(suites))) if suites else None


def system_sources(directory: Path = SYSTEM_SOURCES) -> list[Source]:
    """The Debian archives that the host's apt knows, else Debian's own; with suites that have i386 kernels."""
    found: list[Source] = []
    parts = directory / "sources.list.d"
    for path in [directory / "sources.list", *(sorted(parts.iterdir()) if parts.is_dir() else [])]:
        parse = {".list": parse_one_line, ".sources": parse_deb822}.get(path.suffix)
        if parse is not None and path.is_file():
            try:
                found += parse(path.read_text(encoding="utf-8", errors="replace"))
            except PermissionError:
                continue  # an unprivileged apt-get could not use it either
    kept = dict.fromkeys(usable for source in found if is_debian(source) and (usable := for_guests(source)))
    return list(kept) or [default_source()]


def default_source() -> Source:
    """Debian's own archive, with Debian's keyring where the host has it."""
    keyring = next((str(path) for path in KEYRINGS if path.exists()), "")
    return Source(uris=("http://deb.debian.org/debian",), suites=(RELEASES[0],), signed_by=keyring)


def configuration(root: Path, *, user: str = "") -> str:
    """The private apt.conf: every directory that apt-get writes is under root.

    user is whom apt's download processes become; root's private directories are closed to apt's usual "_apt".
    """
    settings = {
        "APT::Architecture": ARCHITECTURE,
        "APT::Architectures": ARCHITECTURE,
        "APT::Get::List-Cleanup": "true",
        "Acquire::Languages": "none",
        "Acquire::Retries": "2",
        "Dir::State": f"{root}/state/",
        "Dir::State::lists": f"{root}/state/lists/",
        "Dir::State::status": f"{root}/state/status",
        "Dir::State::extended_states": f"{root}/state/extended_states",
        "Dir::Cache": f"{root}/cache/",
        "Dir::Cache::archives": f"{root}/cache/archives/",
        "Dir::Cache::pkgcache": "pkgcache.bin",
        "Dir::Cache::srcpkgcache": "",
        "Dir::Etc::sourcelist": f"{root}/debian.sources",
        "Dir::Etc::sourceparts": f"{root}/none/",
        "Dir::Etc::preferences": f"{root}/none/preferences",
        "Dir::Etc::preferencesparts": f"{root}/none/",
        "Dir::Log": f"{root}/log/",
    }
    if user:
        settings["APT::Sandbox::User"] = user
    # The hooks of the system's apt act on the system: none of them may run.
    cleared = ("APT::Architectures", "APT::Update::Pre-Invoke", "APT::Update::Post-Invoke")
    lines = [f"#clear {name};" for name in (*cleared, "APT::Update::Post-Invoke-Success")]
    lines += [f'{name} "{value}";' for name, value in settings.items()]
    return "\n".join(lines) + "\n"


class Packages(Protocol):
    """Where recipes get packages: Apt, or a DebFolder."""

    def update(self) -> str:
        """Read what there is. Returns "", or what went wrong where something can still be used."""

    def show(self, package: str) -> Mapping[str, str]:
        """The newest version's control fields, by lower-case name."""

    def dependencies(self, package: str) -> list[str]:
        """Names of the packages that it depends on."""

    def download(self, package: str, directory: Path) -> Path:
        """The package's newest .deb, put in directory."""


class Apt:
    """apt-get with its state under root, for i386. Every failure is a FetchError."""

    def __init__(self, root: Path, sources: Sequence[Source] | None = None) -> None:
        for tool in ("apt-get", "apt-cache"):
            if shutil.which(tool) is None:
                raise FetchError(f"{tool}: not found; fetching Debian guests needs a host with apt (Debian, Ubuntu)")
        if re.search(r'["\\\n]', str(root)):
            raise FetchError(f"cache directory {str(root)!r}: apt cannot take this name; set XDG_CACHE_HOME to another")
        self.root = root
        self.trouble = ""  # what the last update() said of archives that failed
        self.sources = list(system_sources() if sources is None else sources)
        try:
            for part in ("state/lists/partial", "cache/archives/partial", "log", "none"):
                (root / part).mkdir(parents=True, exist_ok=True)
            (root / "state/status").touch()
            (root / "debian.sources").write_text("\n".join(source.text() for source in self.sources), encoding="utf-8")
            user = "root" if os.geteuid() == 0 else ""
            (root / "apt.conf").write_text(configuration(root, user=user), encoding="utf-8")
        except OSError as error:
            raise FetchError(f"{root}: cannot write ({error.strerror}); set XDG_CACHE_HOME to another place") from None

    def update(self) -> str:
        """Read the archives' package lists. Returns "", or what went wrong where some archive can still be used."""
        self.trouble = ""
        try:
            self._run("apt-get", "update")
        except FetchError as error:
            self.trouble = str(error)
        if not any("_Packages" in path.name for path in (self.root / "state/lists").iterdir()):
            raise FetchError(self.trouble or "apt-get update: no archive answered; check the network and the proxy")
        return self.trouble

    def show(self, package: str) -> Mapping[str, str]:
        """The newest version's control fields, by lower-case name."""
        try:
            text = self._run("apt-cache", "show", "--no-all-versions", package)
        except FetchError as error:
            raise FetchError(f"{error}; {self.trouble}" if self.trouble else str(error)) from None
        fields = parse_stanza(text.split("\n\n", 1)[0])
        if "version" not in fields:
            raise FetchError(f"{package}: not in the Debian archives for {ARCHITECTURE}; a newer hyperport is needed")
        return fields

    def dependencies(self, package: str) -> list[str]:
        """Names of the packages that it depends on: of alternatives the first, without versions."""
        return dependency_names(self.show(package).get("depends", ""))

    def download(self, package: str, directory: Path) -> Path:
        """The package's newest .deb, put in directory. apt-get checks it against the signed lists."""
        before = set(directory.iterdir())
        self._run("apt-get", "download", package, cwd=directory)
        new = [path for path in directory.iterdir() if path not in before and path.suffix == ".deb"]
        if len(new) != 1:
            raise FetchError(f"{package}: apt-get download left {len(new)} packages in {directory} instead of one")
        return new[0]

    def command(self, tool: str, *words: str) -> list[str]:
        """The argument vector of one run."""
        return [tool, "-q", "-c", str(self.root / "apt.conf"), *words]

    def _run(self, tool: str, *words: str, cwd: Path | None = None) -> str:
        environment = {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
        try:
            done = subprocess.run(
                self.command(tool, *words),
                cwd=cwd,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise FetchError(f"{tool} {words[0]}: no end after {TIMEOUT} s; check the network and try again") from None
        if done.returncode:
            raise FetchError(f"{tool} {' '.join(words)}: {reason(done.stderr)}")
        return done.stdout


def dependency_names(text: str) -> list[str]:
    """Package names in a Depends field: of alternatives the first, without versions and architectures."""
    names = (re.match(r"\s*([a-z0-9][a-z0-9+.-]+)", clause) for clause in text.split(","))
    return [match[1] for match in names if match]


def reason(stderr: str) -> str:
    """The first error that apt-get reports, in one line, with what to do where that is known."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    line = next((line for line in lines if line.startswith(("E:", "Err:"))), lines[0] if lines else "failed in silence")
    if "NO_PUBKEY" in stderr or "is not signed" in stderr:
        line += "; install the package debian-archive-keyring"
    elif "Unable to locate package" in stderr or "No packages found" in stderr:
        line += f"; the Debian archives in {SYSTEM_SOURCES} do not have it for {ARCHITECTURE}"
    elif "Mirror sync" in stderr or "Hash Sum" in stderr:
        line += "; the mirror is being changed: try again later"
    elif "Failed to fetch" in stderr or "Could not resolve" in stderr:
        line += "; check the network and the proxy"
    return line


@dataclass(frozen=True, slots=True)
class Member:
    """A regular file in a package: its path without a leading slash, permission bits, and content."""

    path: str
    mode: int
    data: bytes


@contextmanager
def opened(package: Path) -> Iterator[DebFile]:
    """A .deb, read by python-debian. Raises FetchError for one that is damaged, also while it is used."""
    import lzma

    from debian.arfile import ArError
    from debian.debfile import DebError, DebFile

    try:
        with package.open("rb") as file:
            yield DebFile(fileobj=file)
    except (ArError, DebError, tarfile.TarError, lzma.LZMAError, OSError, EOFError, ValueError, KeyError) as error:
        raise FetchError(f"{package}: not a whole Debian package ({error}); fetch it again") from None


def members(package: Path, wanted: Callable[[str], bool]) -> Iterator[Member]:
    """The regular files of a .deb whose path is wanted, in the package's order; nothing is written to disk."""
    with opened(package) as deb:
        archive = deb.data.tgz()
        for entry in archive:
            path = entry.name.removeprefix("./").lstrip("/")
            if entry.isreg() and wanted(path):
                content = archive.extractfile(entry)
                if content is not None:
                    yield Member(path, entry.mode & 0o777, content.read())


def read_member(package: Path, path: str) -> Member:
    """One regular file of a .deb."""
    for member in members(package, path.__eq__):
        return member
    raise FetchError(f"{package.name}: has no {path}; Debian has moved it, a newer hyperport is needed")
