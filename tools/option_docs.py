# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes what follows from the rows of the options: the tables of docs/cli.md and the manual page docs/hyperport.1.

python tools/option_docs.py            write both
python tools/option_docs.py --check    say which is not as written, with status 1
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Final

from hyperport import __version__
from hyperport.cli.options import VERBS, Verb
from hyperport.cli.parser import DESCRIPTION, written
from hyperport.options import Option

ROOT: Final = Path(__file__).parents[1]
CLI: Final = ROOT / "docs" / "cli.md"
MANUAL: Final = ROOT / "docs" / "hyperport.1"
BLOCK: Final = re.compile(r"(<!-- options: (\w+) -->\n).*?(<!-- end of options -->)", re.S)


def cli_page(text: str) -> str:
    """docs/cli.md with a new table in each of its marked places."""
    return BLOCK.sub(lambda place: f"{place[1]}{table(VERBS[place[2]])}{place[3]}", text)


def table(verb: Verb) -> str:
    """The options of a verb as a Markdown table."""
    own = [row for title, rows in verb.sections.items() if not _is_of_run(verb, title) for row in rows]
    rows = "".join(f"| {_names(row)} | {row.help.replace('|', chr(92) + '|')}{_see(row)} |\n" for row in own)
    return f"| Option | Meaning |\n|---|---|\n{rows}"


def _is_of_run(verb: Verb, title: str) -> bool:
    """Whether a section is all of `run`, which another verb takes too: it is told once."""
    run = VERBS["run"]
    return verb is not run and set(verb.sections[title]) <= set(run.rows())


def _names(row: Option) -> str:
    names = written(row).replace("|", "\\|").split(", ")
    return ", ".join(f"`{name}`" for name in names)


def _see(row: Option) -> str:
    if not row.see:
        return ""
    if ".md" in row.see:
        return f"; see [{row.see.partition('#')[0]}]({row.see})"
    anchor = re.sub(r"[^\w -]", "", row.see.lower()).replace(" ", "-")
    return f"; see [{row.see}](#{anchor})"


def manual() -> str:
    """The manual page, for man(1)."""
    parts = [
        '.\\" Written by tools/option_docs.py; do not edit.',
        f'.TH HYPERPORT 1 "" "hyperport {__version__}" "User Commands"',
        ".SH NAME\nhyperport \\- run i386 guests, and see what every port access costs",
        ".SH SYNOPSIS\n" + "\n.br\n".join(_usage(name, verb) for name, verb in VERBS.items()),
        f".SH DESCRIPTION\n{_paragraphs(DESCRIPTION)}",
    ]
    for name, verb in VERBS.items():
        parts.append(f".SH {name.upper()}\n{_roff(verb.summary[0].upper() + verb.summary[1:])}.\n.PP")
        parts.append(_paragraphs(verb.says))
        for title, rows in verb.sections.items():
            if _is_of_run(verb, title):
                continue
            parts.append(f".SS {_roff(title)}")
            parts += [f".TP\n.B {_roff(written(row))}\n{_roff(row.help)}" for row in rows]
        parts.append(".SS examples\n.nf\n" + "\n".join(_roff(line) for line in verb.examples) + "\n.fi")
    parts.append(
        ".SH EXIT STATUS\nOdd statuses are the guest's, even ones the VMM's own; 2 is a mistake on the command line."
        " README.md has them all."
    )
    return "\n".join(parts) + "\n"


def _usage(name: str, verb: Verb) -> str:
    return f".B hyperport {name}\n{_roff(' '.join(part for part in (verb.words, '[OPTIONS]') if part))}"


def _paragraphs(text: str) -> str:
    return "\n.PP\n".join(_roff(" ".join(part.split())) for part in text.split("\n\n"))


def _roff(text: str) -> str:
    """Text for troff: literals in bold, and nothing that it would take for a request."""
    safe = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    safe = re.sub(r"`([^`]*)`", r"\\fB\1\\fR", safe)
    return f"\\&{safe}" if safe.startswith((".", "\\(aq")) else safe


def main() -> int:
    """Write the files, or check them."""
    wanted = {CLI: cli_page(CLI.read_text()), MANUAL: manual()}
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is not as the options say: run make man", file=sys.stderr)
        return 1 if stale else 0
    for path in stale:
        path.write_text(wanted[path])
        print(path.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
