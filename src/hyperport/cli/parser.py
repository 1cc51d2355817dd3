# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line of one verb, by argparse from its rows; docs/decisions/0023 says why argparse."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any, Final, NoReturn

from hyperport.cli.options import VERBS, Verb
from hyperport.errors import UsageError
from hyperport.options import Option

DESCRIPTION: Final = """Run i386 guests, and see what every port access costs.

`hyperport run demo` runs the guest that is built in. `hyperport fetch debian`, then `hyperport run debian`, gives a
Debian kernel with a shell. `hyperport doctor` says what works on this host."""
WIDTH: Final = 80
INDENT: Final = 24


class Parser(argparse.ArgumentParser):
    """argparse with one line for a mistake, as all errors have."""

    def error(self, message: str) -> NoReturn:
        """Raise UsageError."""
        raise UsageError(f"{message.removeprefix('argument ')}. See --help.")


class Formatter(argparse.HelpFormatter):
    """argparse makes one to check each metavar, and would look for the terminal's width each time."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=WIDTH)


class Once(argparse.Action):
    """Keeps the one value; a second is a mistake, since one of them would be lost."""

    def __call__(
        self,
        _parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        _option: str | None = None,
    ) -> None:
        """Called by argparse for each time that the option is there."""
        if getattr(namespace, self.dest) is not None:
            raise argparse.ArgumentError(self, "it is given twice")
        setattr(namespace, self.dest, values)


def parse(verb: Verb, tokens: Sequence[str]) -> tuple[list[str], dict[str, Any]] | None:
    """The words and the values of the options that were given, by word; None if it asks for help.

    Raises UsageError.
    """
    parser = Parser(add_help=False, allow_abbrev=False, usage="", prog="hyperport", formatter_class=Formatter)
    parser.add_argument("-h", "--help", action="store_true")
    for row in verb.rows():
        _add(parser, row)
    parser.add_argument("words", nargs="*")
    found, unknown = parser.parse_known_intermixed_args(_joined(verb, tokens))
    if found.help:
        return None
    if unknown:
        raise UsageError(f"Unknown option: {unknown[0]}. See --help.")
    words = [str(word) for word in found.words]
    if len(words) < verb.least:
        raise UsageError(f"{verb.words} is missing. See --help.")
    if len(words) > verb.most:
        raise UsageError(f"Unused words: {' '.join(words[verb.most :])}. See --help.")
    given = {row: getattr(found, row.word) for row in verb.rows()}
    values = {row.word: _value(row, value) for row, value in given.items() if value is not None}
    return words, {row.word: row.default for row in verb.rows()} | values if verb.fills else values


def _value(row: Option, given: Any) -> Any:
    try:
        return row.from_words(given)
    except UsageError as error:
        if str(error)[:1] in "'\"":  # it tells the value, and not whose it is
            raise UsageError(f"{row.flag}: {error}") from None
        raise


def _add(parser: Parser, row: Option) -> None:
    names = [*([f"-{row.short}"] if row.short else []), row.flag]
    if row.is_switch:
        for option, value in {**dict.fromkeys(names, True), f"{row.flag}=on": True, f"{row.flag}=off": False}.items():
            parser.add_argument(option, dest=row.word, action="store_const", const=value)
    else:
        parser.add_argument(*names, dest=row.word, action="append" if row.many else Once, metavar=row.metavar)


def _joined(verb: Verb, tokens: Sequence[str]) -> list[str]:
    """The same words, with a value that argparse would take for an option joined to its own."""
    dashes = {row.flag for row in verb.rows() if row.dashes}
    alone = {row.flag: f"{row.flag}={row.alone}" for row in verb.rows() if row.alone is not None}
    joined: list[str] = []
    words = iter(tokens)
    for word in words:
        if word in dashes and (value := next(words, None)) is not None:
            joined.append(f"{word}={value}")
        else:
            joined.append(alone.get(word, word))
    return joined


# Help.


def overview() -> str:
    """What --help says without a verb."""
    width = max(map(len, VERBS)) + 2
    verbs = "".join(f"  {name:<{width}}{verb.summary}\n" for name, verb in VERBS.items())
    return (
        f"usage: hyperport VERB ...\n\n{_plain(DESCRIPTION)}\n\nverbs:\n{verbs}\n"
        "options:\n  -h, --help  this text; after a verb, what it takes\n  --version   the version\n"
    )


def help_of(name: str, verb: Verb) -> str:
    """What --help says of a verb."""
    usage = " ".join(
        part for part in ("usage: hyperport", name, verb.words, "[OPTIONS]" if verb.rows() else "") if part
    )
    parts = [f"{usage}\n", _plain(verb.summary[0].upper() + verb.summary[1:] + ". " + verb.says)]
    for title, rows in verb.sections.items():
        parts.append(f"\n{title}:\n" + "".join(_entry(written(row), row.help) for row in rows).rstrip("\n"))
    parts.append("\nexamples:\n" + "\n".join(f"  {line}" for line in verb.examples))
    return "\n".join(parts) + "\n"


def written(row: Option) -> str:
    """The option as one writes it, with all its names: "-k, --kernel FILE"."""
    value = "" if row.is_switch else f"[={row.metavar}]" if row.alone is not None else f" {row.metavar}"
    return f"{f'-{row.short}, ' if row.short else ''}{row.flag}{value}"


def _entry(left: str, right: str) -> str:
    lines = textwrap.wrap(right.replace("`", ""), WIDTH - INDENT, break_on_hyphens=False) or [""]
    head = f"  {left}"
    if len(head) + 2 > INDENT:
        return f"{head}\n" + _indented(lines)
    return f"{head:<{INDENT}}{lines[0]}\n" + _indented(lines[1:])


def _indented(lines: Iterable[str]) -> str:
    return "".join(f"{'':<{INDENT}}{line}\n" for line in lines)


def _plain(text: str) -> str:
    return "\n\n".join(
        textwrap.fill(" ".join(part.split()), WIDTH, break_on_hyphens=False)
        for part in text.replace("`", "").split("\n\n")
    )
