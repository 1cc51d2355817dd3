# SPDX-License-Identifier: GPL-2.0-or-later
"""For Sphinx: documents of the folder above docs/ are pages too, and links between them and the others hold."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from sphinx.application import Sphinx

ABOVE: Final = {"README.md": "readme", "CONTRIBUTING.md": "contributing", "CHANGELOG.md": "changelog"}
FOLDERS: Final = {"docs/decisions": "decisions/index.md", "docs": "index.md"}
LINK: Final = re.compile(r"\[([^\]]*)\]\((?!https?:)([^)#\s]+)(#[^)\s]+)?\)")


def from_above(found: re.Match[str]) -> str:
    """A link of a document above docs/; one that leads to something else in the tree is only its text."""
    text, target, anchor = found[1], found[2].rstrip("/"), found[3] or ""
    if target in ABOVE:
        return f"[{text}]({ABOVE[target]}.md{anchor})"
    if target in FOLDERS:
        return f"[{text}]({FOLDERS[target]})"
    if target.startswith("docs/") and target.endswith(".md"):
        return f"[{text}]({target.removeprefix('docs/')}{anchor})"
    return text


def read(app: Sphinx, name: str, source: list[str]) -> None:
    """Change the links of a document that was read; a page for a document above gets its text."""
    for file, page in ABOVE.items():
        if name == page:
            text = (Path(app.srcdir).parent / file).read_text()
            source[0] = LINK.sub(from_above, text)
            app.env.note_dependency(str(Path(app.srcdir).parent / file))
            return
        source[0] = re.sub(rf"\]\(((?:\.\./)*)\.\./{file}", rf"](\g<1>{page}.md", source[0])


def setup(app: Sphinx) -> dict[str, Any]:
    """Sphinx calls this."""
    app.connect("source-read", read)
    return {"parallel_read_safe": True}
