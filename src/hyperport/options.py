# SPDX-License-Identifier: GPL-2.0-or-later
"""What an option is. A row of it makes the command line, the machine file, the Python field, help, completion, manual.

The rows stand with their owners, in files called options.py, and are data: neither they nor this file import an engine
or anything compiled. machine/config.py makes MachineConfig of the machine's rows; cli/options.py names all of them.
Each parse function takes the text a user wrote and raises UsageError, one line that quotes it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

from hyperport.errors import UsageError

MIB: Final = 1 << 20
UNITS: Final = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
ISA_IRQS: Final = 16
PORTS: Final = 0x10000
FILES: Final = "files"  # what Option.values is where the shell completes file names
type_hints: Final = functools.cache(get_type_hints)


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is what an annotation says: a class, a union, a tuple or a dict of such. True is no number."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(fits(value, one) for one in inner)
    if origin is tuple:
        each = inner[:1] * len(value) if inner[-1] is ... and isinstance(value, tuple) else inner
        return isinstance(value, tuple) and len(value) == len(each) and all(map(fits, value, each))
    if origin is dict:
        return isinstance(value, dict) and all(fits(k, inner[0]) and fits(v, inner[1]) for k, v in value.items())
    if hint is Any:
        return True
    return isinstance(value, (int, float) if hint is float else hint) and (hint is bool or not isinstance(value, bool))


def require_fields(record: Any) -> None:
    """Raise UsageError where a field of a dataclass is not of its type."""
    kind: Any = type(record)
    for name, hint in type_hints(kind).items():
        if not fits(value := getattr(record, name), hint):
            raise UsageError(f"{kind.__name__}: {name} cannot be {value!r:.40}")


class Kind:
    """How the values of an option are written.

    text: the words of the command line -> value; all values are what it is annotated to return. take: another value of
    Python -> value; as it is by default. number: a TOML number or truth -> value, of the types that native names;
    wants: what an error says is missing.
    """

    def __init__(
        self,
        text: Callable[[str], Any],
        *,
        take: Callable[[Any], Any] = lambda value: value,
        native: tuple[type, ...] = (str,),
        number: Callable[[Any], Any] = lambda value: value,
        wants: str = "a string",
    ) -> None:
        self.text, self.take, self.native, self.number, self.wants = text, take, native, number, wants

    def from_python(self, given: Any) -> Any:
        """The value of what Python code gave: a str is read as on the command line. Raises UsageError or TypeError."""
        if isinstance(given, str):
            return self.text(given)
        value = self.take(given)
        if not fits(value, self.text if isinstance(self.text, type) else type_hints(self.text)["return"]):
            raise TypeError(f"{given!r:.40} is no value of it")
        return value

    def from_file(self, given: Any) -> Any:
        """The value of what a machine file says. Raises UsageError for one of another type."""
        if type(given) not in self.native:  # not isinstance: TOML's true is no number
            raise UsageError(f"must be {self.wants}")
        return self.text(given) if isinstance(given, str) else self.number(given)


class Option:
    """One row. A machine's row is a field of MachineConfig; `run` has those and the rows of a run alone.

    name: on the command line, "--name". help: for people; `so` is literal. kind: of its values, or a parse function.
    metavar: what stands for the value; "" for a switch, which is there or not. short: a letter, "-k".
    word: the name in a machine file and in Python, if it is another one.
    many: may be repeated; the value is a tuple. adds_up: the machine file's come first, then the command line's.
    default: the value where nothing is given. alone: the text that is meant where the option has no value.
    values: what completion offers: FILES, words, or a function that gives words. lists: words with commas between.
    then: words that may follow behind a comma. inside: the words behind FILE: for a file, as names of classes in it.
    dashes: the next word is its value even if it begins with a dash.
    engine: the only engine that has it. see: a heading of docs/cli.md that tells more. of_machine, in_file: whether it
    is a field of MachineConfig, and a key of machine files.
    """

    def __init__(
        self,
        name: str,
        help: str,  # noqa: A002 - argparse's word
        kind: Kind | Callable[[str], Any] = str,
        *,
        metavar: str = "",
        short: str = "",
        word: str = "",
        many: bool = False,
        adds_up: bool = False,
        default: Any = None,
        alone: str | None = None,
        values: str | Iterable[str] | Callable[[], Iterable[str]] = (),
        lists: bool = False,
        then: Iterable[str] = (),
        inside: Callable[[Path], Iterable[str]] | None = None,
        dashes: bool = False,
        engine: str = "",
        see: str = "",
        of_machine: bool = True,
        in_file: bool = True,
    ) -> None:
        self.name, self.help, self.metavar, self.short = name, help, metavar, short
        self.word = word or name.replace("-", "_")
        self.is_switch = not metavar
        self.kind = SWITCH if self.is_switch else kind if isinstance(kind, Kind) else Kind(kind)
        self.default = () if many and default is None else False if self.is_switch and default is None else default
        self.many, self.adds_up, self.alone = many, adds_up, alone
        self.values, self.lists, self.dashes = values, lists, dashes
        self.then, self.inside = tuple(then), inside
        self.engine, self.see, self.of_machine, self.in_file = engine, see, of_machine, in_file

    @property
    def flag(self) -> str:
        """As it is written on the command line."""
        return f"--{self.name}"

    def offers(self) -> tuple[str, ...]:
        """The words of its values; none where they are files or free."""
        return tuple(self.values() if callable(self.values) else () if self.values == FILES else self.values)

    def from_words(self, given: Any) -> Any:
        """The value of what the command line gave: a truth, a text, or a list of texts."""
        if self.is_switch:
            return given
        return tuple(self.kind.text(text) for text in given) if self.many else self.kind.text(given)

    def from_python(self, given: Any) -> Any:
        """The value of a Python argument. Raises UsageError for one that makes no sense, or of another type."""
        if given is None or given is self.default:
            return self.default
        alone = not self.many or isinstance(given, str | bytes | Path | dict) or not isinstance(given, Iterable)
        items = (given,) if alone else tuple(given)
        try:
            values = tuple(map(self.kind.from_python, items))
        except (TypeError, IndexError, KeyError):
            raise UsageError(f"{self.word} cannot be {given!r:.60}") from None
        return values if self.many else values[0]

    def from_file(self, given: Any) -> Any:
        """The value of a machine file's key."""
        if not self.many or (isinstance(given, str) and not self.adds_up):
            value = self.kind.from_file(given)
            return (value,) if self.many else value
        if not isinstance(given, list):
            raise UsageError("must be a list of strings")
        return tuple(self.kind.from_file(item) for item in given)


def beside(directory: Path, value: Any) -> Any:
    """The same value with every file name in it taken from directory, as the keys of a machine file mean it."""
    if isinstance(value, Path):
        return directory / value
    if isinstance(value, tuple):
        items = [beside(directory, item) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)  # a NamedTuple stays one
    return value.beside(directory) if hasattr(value, "beside") else value


def parse_number(text: str, what: str) -> int:
    """An unsigned number, decimal or with 0x, 0o or 0b."""
    try:
        number = int(text, 0)
    except ValueError:
        number = -1
    if number < 0:
        raise UsageError(f"{what} {text!r} is no number: write it like 768 or 0x300")
    return number


def parse_count(text: str) -> int:
    """How many, or how often: a decimal number."""
    if not text.isascii() or not text.isdigit():
        raise UsageError(f"{text!r} is no number: write it like 9")
    return int(text)


def parse_size(text: str) -> int:
    """Bytes. A plain number counts MiB, as in qemu's -m; K, M and G (and KiB, MiB, GiB) are binary units."""
    match = re.fullmatch(r"(\d+)\s*(?:([kmg])(?:i?b)?)?", text.strip(), re.IGNORECASE | re.ASCII)
    if match is None:
        raise UsageError(f"size {text!r} is not understood: write it like 128, 512K, 128M or 1G")
    return int(match[1]) * UNITS[(match[2] or "m").lower()]


def parse_seconds(text: str) -> float:
    """A number of seconds, not below 0."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise UsageError(f"{text!r} is no number of seconds: write it like 30 or 0.5")
    return seconds


def parse_names(text: str) -> tuple[str, ...]:
    """A list with commas; what the names mean is for whoever takes them."""
    return tuple(name.strip() for name in text.split(","))


def parse_switch(text: str) -> bool:
    """on or off."""
    if text not in ("on", "off"):
        raise UsageError(f"{text!r} is no switch: write on or off")
    return text == "on"


def one_of(what: str, words: tuple[str, ...]) -> Callable[[str], str]:
    """A parse function that takes these words only."""

    def parse(text: str) -> str:
        if text not in words:
            raise UsageError(f"{what} {text!r}: write {' or '.join(words)}")
        return text

    return parse


TEXT: Final = Kind(str)
FILE: Final = Kind(Path, take=Path)
NAMES: Final = Kind(parse_names, take=tuple)
SIZE: Final = Kind(parse_size, native=(str, int), number=lambda mib: mib * MIB)
SECONDS: Final = Kind(parse_seconds, native=(int, float), number=float, wants="a number of seconds")
SWITCH: Final = Kind(parse_switch, native=(bool,), wants="true or false")  # in TOML a truth, with --name on|off a word
