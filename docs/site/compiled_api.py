# SPDX-License-Identifier: GPL-2.0-or-later
"""For Sphinx: signatures of compiled classes from their stubs, and docstrings that are plain text."""

from __future__ import annotations

import ast
import copy
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any, Final

from sphinx.application import Sphinx

FIELD: Final = re.compile(r"(?:[a-z_]\w*(?:, )?)+: ")  # an argument, or several, and what they are
MARKUP: Final = re.compile(r"([*_|\\])")
CODE: Final = re.compile(r"`+([^`]+)`+")

Definition = ast.FunctionDef | ast.ClassDef


@cache
def definitions(module: str) -> dict[str, Definition]:
    """What the stub of a compiled module defines, methods as Class.method; nothing where there is no stub."""
    stub = Path(str(getattr(sys.modules.get(module), "__file__", None) or "?").split(".")[0] + ".pyi")
    if not stub.exists():
        return {}
    found: dict[str, Definition] = {}
    for node in ast.parse(stub.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = node
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{each.name}": each for each in node.body if isinstance(each, ast.FunctionDef)}
            found |= {
                f"{node.name}.{each.target.id}": node
                for each in node.body
                if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
            }
    return found


def signature(
    _: Sphinx, what: str, name: str, obj: Any, __: Any, arguments: str | None, ___: str | None
) -> tuple[str, str] | None:
    """Arguments and result as the stub has them; None: as autodoc finds them itself."""
    if arguments is None:  # autodoc fails where there was none and one is given
        return None
    stub = definitions(getattr(obj, "__module__", None) or "")
    if what == "class":
        node = stub.get(f"{obj.__name__}.__init__")
    else:
        node = stub.get(".".join(name.split(".")[-2:])) or stub.get(name.split(".")[-1])
        if not stub:
            owner = getattr(obj, "__objclass__", None)
            stub = definitions(getattr(owner, "__module__", ""))
            node = stub.get(f"{getattr(owner, '__name__', '')}.{name.split('.')[-1]}")
    if not isinstance(node, ast.FunctionDef):
        return None
    taken = copy.deepcopy(node.args)
    if taken.args and taken.args[0].arg in ("self", "cls"):
        taken.args = taken.args[1:]
    returns = "" if node.returns is None or what == "class" else ast.unparse(node.returns)
    return f"({ast.unparse(taken)})", returns


def skip(_: Sphinx, __: str, name: str, obj: Any, ___: bool, ____: Any) -> bool | None:
    """Members of a compiled class that its stub does not promise."""
    owner = getattr(obj, "__objclass__", None)
    if owner is None:
        return None
    stub = definitions(owner.__module__)
    return True if stub and f"{owner.__name__}.{name}" not in stub else None


def docstring(_: Sphinx, __: str, ___: str, ____: Any, _____: Any, lines: list[str]) -> None:
    """Escape what only looks like markup; indented lines are shown as they are, and each field begins a paragraph."""
    done: list[str] = []
    literal = False
    for line in lines:
        if line.startswith(" ") and not literal:
            done += ["", "::", ""]
        elif literal and line and not line.startswith(" "):
            done.append("")
        literal = line.startswith(" ") or (literal and not line)
        if literal:
            done.append(line)
            continue
        if FIELD.match(line):
            done.append("")
        parts = CODE.split(line)
        done.append("".join(f"``{part}``" if at % 2 else MARKUP.sub(r"\\\1", part) for at, part in enumerate(parts)))
    lines[:] = done


def setup(app: Sphinx) -> dict[str, Any]:
    """Sphinx calls this."""
    app.connect("autodoc-process-signature", signature)
    app.connect("autodoc-skip-member", skip)
    app.connect("autodoc-process-docstring", docstring)
    return {"parallel_read_safe": True}
