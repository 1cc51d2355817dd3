# SPDX-License-Identifier: GPL-2.0-or-later
"""guest/include/hyperport/abi.h is what the table says, and C understands it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from hyperport.abi import numbers

ROOT = Path(__file__).parents[2]
HEADER = ROOT / "guest" / "include" / "hyperport" / "abi.h"
TOOL = ROOT / "tools" / "abi_header.py"


def run_tool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(TOOL), *arguments], capture_output=True, text=True, check=False)


def compile_c(*options: str, source: str) -> str:
    command = ["gcc", "-m32", "-ffreestanding", "-Wall", "-Wextra", "-Werror", "-I", str(ROOT / "guest" / "include")]
    return subprocess.run(
        [*command, "-x", "c", *options, "-"], input=source, capture_output=True, text=True, check=True
    ).stdout


@pytest.fixture(scope="module")
def macros() -> dict[str, int]:
    text = compile_c("-dM", "-E", source="#include <hyperport/abi.h>\n")
    found = re.findall(r"^#define HYPERPORT_(\w+) (0x[0-9a-f]+|\d+)$", text, re.MULTILINE)
    return {name: int(value, 0) for name, value in found}


def test_the_header_is_not_stale() -> None:
    result = run_tool("--check")
    assert result.returncode == 0, result.stderr


def test_a_stale_header_is_noticed(tmp_path: Path) -> None:
    copy = tmp_path / "abi.h"
    for text in ("", HEADER.read_text().replace("HYPERPORT_VMI_INB 50", "HYPERPORT_VMI_INB 49")):
        copy.write_text(text)
        result = run_tool("--check", str(copy))
        assert (result.returncode, "make headers" in result.stderr) == (1, True)
    assert run_tool("--check", str(tmp_path / "none.h")).returncode == 1
    run_tool(str(copy))
    assert copy.read_text() == HEADER.read_text()


def test_every_call_is_there(macros: dict[str, int]) -> None:
    assert {call.name: macros[f"VMI_{call.name}"] for call in numbers.VMI_CALLS} == {
        call.name: call.number for call in numbers.VMI_CALLS
    }
    assert {call.name: macros[f"KVM_{call.name}"] for call in numbers.KvmCall} == dict(numbers.KvmCall.__members__)
    assert {call.name: macros[f"LGUEST_{call.name}"] for call in numbers.LguestCall} == dict(
        numbers.LguestCall.__members__
    )


@pytest.mark.parametrize(
    ("prefix", "text"), [("SIGNATURE", numbers.HYPERPORT_SIGNATURE), ("KVM_SIGNATURE", numbers.KVM_SIGNATURE)]
)
def test_signatures_are_in_the_order_of_cpuid(macros: dict[str, int], prefix: str, text: bytes) -> None:
    words = (macros[f"{prefix}_{register}"] for register in ("EBX", "ECX", "EDX"))
    assert b"".join(word.to_bytes(4, "little") for word in words) == text


def test_the_x_macro_and_the_private_range_compile() -> None:
    checks = "".join(
        f'_Static_assert(NUMBER_{call.name} == {call.number + 0x48500000}, "number");\n'
        f'_Static_assert(FORM_{call.name} == {form.direction * 100 + form.size * 10 + form.string}, "form");\n'
        for call in numbers.PORT_CALLS
        if (form := call.port)
    )
    source = f"""#include <hyperport/abi.h>
#define NUMBER(name, number, direction, size, string) NUMBER_##name = HYPERPORT_CALL(number),
enum {{ HYPERPORT_PORT_CALLS(NUMBER) }};
#define FORM(name, number, direction, size, string) FORM_##name = direction * 100 + size * 10 + string,
enum {{ HYPERPORT_PORT_CALLS(FORM) }};
{checks}"""
    assert len(numbers.PORT_CALLS) == 12
    compile_c("-fsyntax-only", source=source)
