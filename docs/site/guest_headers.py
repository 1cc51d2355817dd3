# SPDX-License-Identifier: GPL-2.0-or-later
"""For Sphinx: `guest-header` shows a C header as a reference. Its comments are text, its functions are in the index.

A header is a sequence of blocks between empty lines, each of which may begin with a comment. Bodies of inline functions
are left out, and a macro that defines functions is shown by the functions that it defines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

ROOT: Final = Path(__file__).parents[2]
COMMENT: Final = re.compile(r"/\*(.*?)\*/\n?", re.S)
GUARD: Final = re.compile(r"^#(?:ifndef|define) \w+_H$|^#endif$|^#include .*$|^#undef .*$", re.M)
PROTOTYPE: Final = re.compile(r"(?:__attribute__\(\(.*\)\)\s)?(?:[\w*]+ )+\*?\w+\([^{};]*\);")
INLINE: Final = re.compile(r"^static inline ([^{;]+?)\s*\n\{.*?^\}$", re.M | re.S)
GENERATOR: Final = re.compile(r"^#define (\w+)\(([\w, ]+)\)\s*\\\n((?:.*\\\n)*.*static inline(?:.*\\\n)*.*)$", re.M)
GENERATED: Final = re.compile(r"static inline ([^{\\]+?)\s*\\?\n\s*\{")


def plain(comment: str) -> list[str]:
    """A comment's text, without its stars."""
    return [re.sub(r"^ ?\* ?", "", line).rstrip() for line in comment.strip("* ").splitlines()]


def expanded(text: str) -> str:
    """Text with each use of a macro that defines functions replaced by their prototypes."""
    for macro in GENERATOR.finditer(text):
        names = [name.strip() for name in macro[2].split(",")]
        told = "\n".join(f"{prototype};" for prototype in GENERATED.findall(macro[3]))
        for use in re.finditer(rf"^{macro[1]}\((.*)\)$", text, re.M):
            made = told
            for name, value in zip(names, use[1].split(","), strict=True):
                made = re.sub(rf"##{name}\b|\b{name}##|\b{name}\b", value.strip(), made)
            text = text.replace(use[0], made.replace("##", ""))
        text = text.replace(macro[0], "")
    return text


def blocks(text: str) -> Iterator[tuple[list[str], str]]:
    """(lines of comment, code) of each block."""
    text = expanded(GUARD.sub("", text))
    text = INLINE.sub(lambda found: re.sub(r"\s+", " ", found[1]) + ";", text)
    for block in re.split(
        r"\n\s*\n|\n(?=/\*)|(?<=;)\n(?=#)", text.replace("/* SPDX-License-Identifier: GPL-2.0-or-later */\n", "")
    ):
        comment = COMMENT.match(block.strip() + "\n")
        told = [] if comment is None else plain(comment[1])
        code = block.strip() if comment is None else (block.strip() + "\n")[comment.end() :].strip()
        if told or code:
            yield told, code


def paragraphs(lines: list[str]) -> Iterator[str]:
    """As reStructuredText: indented lines as they are."""
    literal = False
    for line in lines:
        if line.startswith("  ") != literal:
            literal = not literal
            yield from (("", "::", "") if literal else ("",))
        yield line if literal else re.sub(r"([*_|\\`])", r"\\\1", line)
    yield ""


class GuestHeader(SphinxDirective):
    """`guest-header:: guest/include/hyperport/io.h`."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The nodes of the header."""
        path = ROOT / self.arguments[0]
        self.env.note_dependency(str(path))
        out: list[str] = []
        for told, code in blocks(path.read_text()):
            prototypes = [re.sub(r"\s+", " ", found[0]) for found in PROTOTYPE.finditer(code)]
            if prototypes and not PROTOTYPE.sub("", code).strip():
                out += [f".. c:function:: {prototypes[0].removesuffix(';')}"]
                out += [f"              {prototype.removesuffix(';')}" for prototype in prototypes[1:]]
                out += ["", *(f"   {line}" for line in paragraphs(told)), ""]
            else:
                out += paragraphs(told)
                if code:
                    out += [".. code-block:: c", "", *(f"   {line}" for line in code.splitlines()), ""]
        section = nodes.section()
        section.document = self.state.document
        self.state.nested_parse(StringList(out, source=str(path)), 0, section)
        return section.children


def setup(app: Sphinx) -> dict[str, Any]:
    """Sphinx calls this."""
    app.add_directive("guest-header", GuestHeader)
    return {"parallel_read_safe": True}
