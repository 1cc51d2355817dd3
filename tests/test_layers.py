# SPDX-License-Identifier: GPL-2.0-or-later
"""The order of the layers, by folder, and that no file needs itself: imports and cimports of the whole package.

Every import counts, also one inside a function, for types only, or in a .pxd: what a file names, it knows.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import hyperport

ROOT = Path(hyperport.__file__).parent

# Bottom up: a file may use its own folder and those before it. docs/tour.md has the same order with reasons.
ORDER = (
    *(
        "supported_host",
        "renamed",
        "supported_host",
        "errors",
        "options",
        "memory",
        "cpu",
        "outcome",
        "lines",
        "time",
        "bus",
        "host",
        "devices",
        "abi",
        "io",
    ),
    *("engines", "boot", "guests", "ui", "machine", "observe", "debug", "testing", "cli"),
)
# The package's front: it names what users import, and starts the command line.
FRONT = ("hyperport", "hyperport.__main__")

CYTHON = re.compile(r"^\s*from\s+([\w.]+)\s+c?import\s+(\((?:[^)]*)\)|[^\n]*)", re.MULTILINE)


def module_of(path: Path) -> str:
    """The dotted name of a source file; a .pyx, its .pxd and its .pyi are one module."""
    parts = ("hyperport", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = [path for suffix in ("py", "pyx", "pxd", "pyi") for path in sorted(ROOT.rglob(f"*.{suffix}"))]
MODULES = {module_of(path) for path in SOURCES}


def named(path: Path) -> set[str]:
    """Modules of the package that a file imports or cimports."""
    text = path.read_text()
    if path.suffix in (".py", ".pyi"):
        pairs = []
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                pairs += [(alias.name, "") for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: relative import"
                pairs += [(node.module or "", alias.name) for alias in node.names]
    else:
        pairs = [
            (source, name.split()[0])
            for source, names in CYTHON.findall(text)
            for name in re.sub(r"#.*", "", names).strip("() \n").replace("\n", " ").split(",")
            if name.strip()
        ]
    found = set()
    for source, name in pairs:
        if source.split(".")[0] == "hyperport":
            found.add(f"{source}.{name}" if f"{source}.{name}" in MODULES else source)
    return found


def edges() -> dict[str, set[str]]:
    """Module -> the modules it names, without itself."""
    graph: dict[str, set[str]] = {module: set() for module in MODULES}
    for path in SOURCES:
        graph[module_of(path)] |= named(path)
    for module, uses in graph.items():
        uses.discard(module)
        assert uses <= MODULES, f"{module} names {sorted(uses - MODULES)}, which is no file"
    return graph


def layer(module: str) -> str:
    """The folder, or the file beside the folders, that a module belongs to."""
    return module.split(".")[1]


def circles(graph: dict[str, set[str]]) -> set[tuple[str, ...]]:
    """Strongly connected components of more than one module (Tarjan 1972)."""
    found: set[tuple[str, ...]] = set()
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []

    def visit(module: str) -> None:
        number[module] = low[module] = len(number)
        stack.append(module)
        for other in graph[module]:
            if other not in number:
                visit(other)
                low[module] = min(low[module], low[other])
            elif other in stack:
                low[module] = min(low[module], number[other])
        if low[module] == number[module]:
            at = stack.index(module)
            members, stack[at:] = stack[at:], []
            if len(members) > 1:
                found.add(tuple(sorted(members)))

    for module in sorted(graph):
        if module not in number:
            visit(module)
    return found


def test_the_order_names_all_that_is_there() -> None:
    there = {layer(module) for module in MODULES if module not in FRONT}
    assert there <= set(ORDER)


def test_imports_and_cimports_go_down_only() -> None:
    place = {name: index for index, name in enumerate(ORDER)}
    wrong = {
        (module, other)
        for module, uses in edges().items()
        for other in uses
        if module not in FRONT
        and (other in FRONT or place.get(layer(other), len(ORDER)) > place.get(layer(module), len(ORDER)))
    }
    assert wrong == set()


def test_no_file_needs_itself() -> None:
    assert circles(edges()) == set()


def test_a_circle_is_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set(), "e": {"f"}, "f": {"e"}}
    assert circles(graph) == {("a", "b", "c"), ("e", "f")}
