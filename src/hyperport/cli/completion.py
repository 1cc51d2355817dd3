# SPDX-License-Identifier: GPL-2.0-or-later
"""Shell completion: the shell asks hyperport itself, which answers from the rows of the options.

A script for the shell (hyperport completion SHELL) calls `hyperport --complete SHELL LINE`, LINE up to the cursor, and
gets the whole words that may stand there, one a line. Files are completed here too: they may stand behind "file:" or
before ",ro", which no shell knows of.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from hyperport.cli.options import SHELLS, VERBS, Verb
from hyperport.errors import ConfigError, UsageError
from hyperport.host.cache import home
from hyperport.options import FILES, Option

GOES_ON: Final = ("/", "=", ":", ",")  # a word that ends so is not whole yet
BASH_BREAKS: Final = re.compile(r".*[=:]")  # what bash takes for words of their own: only the rest is replaced

SCRIPTS: Final = {
    "bash": """\
_hyperport() {
    mapfile -t COMPREPLY < <(hyperport --complete bash "${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
    case "${COMPREPLY[0]}" in */ | *= | *: | *,) compopt -o nospace ;; esac
}
complete -F _hyperport hyperport
""",
    "zsh": """\
#compdef hyperport
_hyperport() {
    local -a whole open
    local word
    for word in "${(@f)$(hyperport --complete zsh "${LBUFFER}" 2>/dev/null)}"; do
        case "$word" in
            '') ;;
            */ | *= | *: | *,) open+=("$word") ;;
            *) whole+=("$word") ;;
        esac
    done
    compadd -U -Q -S '' -- $open
    compadd -U -Q -- $whole
}
compdef _hyperport hyperport
""",
    "fish": """\
complete -c hyperport -f -a '(hyperport --complete fish (commandline -cp) 2>/dev/null)'
""",
}
PLACES: Final = {  # where a shell looks by itself, below the data or the configuration folder
    "bash": ("XDG_DATA_HOME", ".local/share", "bash-completion/completions/hyperport"),
    "zsh": ("XDG_DATA_HOME", ".local/share", "zsh/site-functions/_hyperport"),
    "fish": ("XDG_CONFIG_HOME", ".config", "fish/completions/hyperport.fish"),
}


def completion(shell: str, *, install: bool) -> int:
    """Print the script for a shell, or write it where the shell finds it."""
    if shell not in SCRIPTS:
        raise UsageError(f"shell {shell!r}: write {', '.join(SHELLS)}. See --help.")
    if not install:
        print(SCRIPTS[shell], end="")
        return 0
    variable, usual, name = PLACES[shell]
    place = Path(os.environ.get(variable) or home() / usual) / name
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(SCRIPTS[shell])
    except OSError as error:
        raise ConfigError(f"completion: {place}: {error.strerror}; print the script instead") from error
    more = f"; add {place.parent} to fpath, before compinit" if shell == "zsh" else ""
    print(f"{place}: written; a new shell completes{more}")
    return 0


def install(words: Sequence[str]) -> int:
    """--install-completion [--shell SHELL]: as completion SHELL --install; the user's own shell if none is named."""
    named = [word.removeprefix("--shell=") for word in words if word != "--shell"]
    return completion(named[0] if named else Path(os.environ.get("SHELL", "bash")).name, install=True)


def complete(words: Sequence[str]) -> int:
    """Print what may stand at the end of a command line, one word a line. words: the shell, and the line."""
    shell, line = (*words, "", "")[:2]
    current, found = candidates(line)
    cut = BASH_BREAKS.match(current) if shell == "bash" else None
    start = cut.end() if cut else 0
    for word in found:
        print(
            shlex.quote(word[start:]) if shell != "fish" and re.search(r"[\s'\"\\$&;()<>|*?`]", word) else word[start:]
        )
    return 0


def candidates(line: str) -> tuple[str, list[str]]:
    """The unfinished word at the end of line, and the words that begin with it and may stand there."""
    words, current = _split(line)
    if len(words) < 2:
        return current, _beginning(current, (*VERBS, "--help", "--version"))
    verb = VERBS.get(words[1])
    return current, _beginning(current, () if verb is None else _after(verb, words[2:], current))


def _split(line: str) -> tuple[list[str], str]:
    """The words that are whole, and the one that the cursor is in; it may have begun with a quote."""
    for quote in ("", "'", '"'):
        try:
            words = shlex.split(line + quote)
        except ValueError:  # a quote is open
            continue
        inside = bool(quote) or (bool(line) and not line[-1].isspace())
        return (words[:-1], words[-1]) if words and inside else (words, "")
    return [], ""


def _after(verb: Verb, words: Sequence[str], current: str) -> Iterable[str]:
    """What may come after words. Those that are options' values are passed over."""
    rows = {name: row for row in verb.rows() for name in (row.flag, f"-{row.short}")}
    waiting, given, free = None, set(), 0
    for word in words:
        row = None if waiting else rows.get(word.partition("=")[0])
        free += not waiting and row is None
        given.add(row)
        waiting = row if row and "=" not in word and not row.is_switch and row.alone is None else None
    if waiting:
        return values(waiting, current)
    flag, equals, value = current.partition("=")
    if equals and flag in rows:
        return [f"{flag}={word}" for word in values(rows[flag], value)]
    if current.startswith("-"):
        return [*(row.flag for row in verb.rows() if row.many or row not in given), "--help"]
    return verb.values() if free < verb.most else ()


def values(row: Option, text: str) -> Iterable[str]:
    """What may stand as the value of an option that begins with text."""
    head, comma, last = text.rpartition(",")
    if row.lists:
        return [f"{head}{comma}{word}" for word in row.offers() if word not in head.split(",")]
    if comma and row.then:
        name, equals, file = last.partition("=")
        return _in_front(f"{head},{name}=", _files(file)) if equals else _in_front(f"{head},", row.then)
    if row.values != FILES:
        opened = next((word for word in row.offers() if word.endswith((":", "=")) and text.startswith(word)), None)
        return row.offers() if opened is None else _in_front(opened, _files(text.removeprefix(opened)))
    file, colon, _ = text.rpartition(":")
    if row.inside is not None and colon:
        return _in_front(f"{file}:", (f"{name},base=" for name in row.inside(Path(file))))
    return _files(text)


def _in_front(head: str, words: Iterable[str]) -> list[str]:
    return [f"{head}{word}" for word in words]


def _files(text: str) -> list[str]:
    """The files whose names begin with text; folders with a slash."""
    folder, _, start = text.rpartition("/")
    place = Path(os.path.expanduser(folder) or ("/" if text.startswith("/") else "."))  # noqa: PTH111 - "" stays ""
    try:
        entries = sorted(os.scandir(place), key=lambda entry: entry.name)
    except OSError:
        return []
    shown = [entry for entry in entries if entry.name.startswith(start) and (start or not entry.name.startswith("."))]
    head = text[: len(text) - len(start)]
    return [f"{head}{entry.name}{'/' if entry.is_dir() else ''}" for entry in shown]


def _beginning(text: str, words: Iterable[str]) -> list[str]:
    return [word for word in words if word.startswith(text)]
