# SPDX-License-Identifier: GPL-2.0-or-later
"""What the site adds to the documents: every public name in docs/api.md, and the extensions in docs/site."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from types import ModuleType

import pytest

import hyperport
import hyperport.testing

ROOT = Path(__file__).parents[1]
HEADERS = [  # of C; those of macros for the assembler are left out
    path for path in sorted((ROOT / "guest" / "include" / "hyperport").glob("*.h")) if ".macro " not in path.read_text()
]


@pytest.fixture
def extension(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    pytest.importorskip("sphinx", reason="make docs installs it")
    monkeypatch.syspath_prepend(ROOT / "docs" / "site")
    return importlib.import_module(request.param)


def test_the_api_has_every_public_name() -> None:
    listed = re.findall(r"^\.\. auto\w+:: ([\w.]+)", (ROOT / "docs" / "api.md").read_text(), re.M)
    assert sorted(listed) == sorted(set(listed))
    wanted = {f"hyperport.{name}" for name in hyperport.__all__}
    wanted |= {f"hyperport.testing.{name}" for name in hyperport.testing.__all__}
    assert {name for name in listed if name.rpartition(".")[0] in ("hyperport", "hyperport.testing")} == wanted


def test_every_document_is_in_the_table_of_contents() -> None:
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")} - {"index"}
    listed = re.findall(r"^([a-z][\w/-]*)$", (ROOT / "docs" / "index.md").read_text(), re.M)
    assert sorted(set(listed) - {"decisions/index"}) == sorted(pages)


def test_every_header_of_the_guest_library_is_shown() -> None:
    shown = re.findall(r"^\.\. guest-header:: (\S+)", (ROOT / "docs" / "guest.md").read_text(), re.M)
    assert {ROOT / name for name in shown} == {*HEADERS, ROOT / "guest" / "lib" / "guest.h"}


@pytest.mark.parametrize("extension", ["guest_headers"], indirect=True)
def test_blocks_of_a_header(extension: ModuleType) -> None:
    header = """/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What it is. */
#ifndef X_H
#define X_H

#define MAKE(name, type) \\
    static inline type get_##name(void) \\
    { \\
        return 0; \\
    }

MAKE(byte, uint8_t)

/* Adds.
 *   a table */
static inline int add(int a,
                      int b)
{
    return a + b;
}
/* Goes on. */
int more(void);
#endif
"""
    assert list(extension.blocks(header)) == [
        (["What it is."], ""),
        ([], "uint8_t get_byte(void);"),
        (["Adds.", "  a table"], "int add(int a, int b);"),
        (["Goes on."], "int more(void);"),
    ]


@pytest.mark.parametrize("extension", ["guest_headers"], indirect=True)
@pytest.mark.parametrize("header", HEADERS, ids=[header.name for header in HEADERS])
def test_every_function_of_a_header_is_in_the_index(extension: ModuleType, header: Path) -> None:
    text = header.read_text()
    indexed = {
        name
        for _, code in extension.blocks(text)
        if not extension.PROTOTYPE.sub("", code).strip()
        for name in re.findall(r"(\w+)\([^()]*\);", code)
    }
    assert set(re.findall(r"^static inline [\w* ]+?(\w+)\(", text, re.M)) <= indexed
    assert set(re.findall(r"^(?!typedef|#|static)[\w* ]+?\b(\w+)\([^()]*\);$", text, re.M)) <= indexed
    if header.name == "io.h":
        assert {f"{way}{string}{size}" for way in ("in", "out") for string in ("", "s") for size in "bwl"} <= indexed


@pytest.mark.parametrize("extension", ["compiled_api"], indirect=True)
def test_signatures_of_compiled_classes_are_those_of_their_stubs(extension: ModuleType) -> None:
    bus = hyperport.PortBus
    given = extension.signature(None, "method", "hyperport.PortBus.inp", bus.inp, None, "()", None)
    assert given is not None
    arguments, returns = given
    assert arguments.startswith("(port: int, size: int")
    assert returns == "int"
    assert extension.signature(None, "class", "hyperport.Machine", hyperport.Machine, None, "()", None) is None
    assert extension.signature(None, "property", "x", bus.inp, None, None, None) is None


@pytest.mark.parametrize("extension", ["compiled_api"], indirect=True)
@pytest.mark.parametrize(
    ("told", "shown"),
    [
        (["Run *args of name_."], [r"Run \*args of name\_."]),
        (["The `code_` here."], ["The ``code_`` here."]),
        (["What.", "base: a port.", "of it."], ["What.", "", "base: a port.", "of it."]),
        (["Wires:", "    irq: *a* line", "End."], ["Wires:", "", "::", "", "    irq: *a* line", "", "End."]),
    ],
)
def test_docstrings_are_plain_text(extension: ModuleType, told: list[str], shown: list[str]) -> None:
    lines = list(told)
    extension.docstring(None, "", "", None, None, lines)
    assert lines == shown
