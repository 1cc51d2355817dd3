# SPDX-License-Identifier: GPL-2.0-or-later
"""Machine files: TOML, one table, no key required. The keys are the rows of `hyperport run`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from hyperport.cli.options import VERBS
from hyperport.errors import ConfigError, UsageError
from hyperport.options import TEXT, Option, beside

KEYS: Final[dict[str, Option]] = {
    "guest": Option("guest", "a guest by name", TEXT, metavar="GUEST"),
    **{row.word: row for row in VERBS["run"].rows() if row.in_file},
}
MACHINE_FILE_KEYS: Final = tuple(KEYS)


def load_machine_file(path: Path | str) -> dict[str, Any]:
    """A TOML machine file as values by key: the fields of MachineConfig, and what `hyperport run` takes.

    A key is the option's name in Python, each is optional, with the syntax of the option; file names are relative to
    the file's own directory. Raises ConfigError for a file that cannot be read, is no TOML, or has an unknown key or a
    bad value.
    """
    import tomllib

    path = Path(path)
    try:
        with path.open("rb") as file:
            table = tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"machine file {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"machine file {path} is no TOML: {error}") from error
    unknown = sorted(set(table) - set(KEYS))
    if unknown:
        raise ConfigError(f"machine file {path}: unknown key {unknown[0]}; known: {', '.join(KEYS)}")
    values: dict[str, Any] = {}
    for key, value in table.items():
        try:
            values[key] = beside(path.parent, KEYS[key].from_file(value))
        except UsageError as error:
            raise ConfigError(f"machine file {path}: {key}: {error}") from error
    return values
