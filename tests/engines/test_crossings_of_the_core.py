# SPDX-License-Identifier: GPL-2.0-or-later
"""Every function that an engine hands to the core passes enter(), or stands here with the reason why it does not.

Read from the sources: what redirections and hooks name, and from there along calls inside the file until enter().
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import hyperport.engines

ENGINES = Path(hyperport.engines.__file__).parent

# The core's own housekeeping: none of these can reach a device.
HOUSEKEEPING = {
    "flush_code": "translated code is thrown away",
    "fetch_byte": "the translator reads code",
    "on_new_code": "a block was translated",
    "tlb_fill": "the core walks page tables",
    "set_page": "the core fills a TLB entry",
    "store_table_long": "the core marks an entry of a page table",
    "memory_mapping": "the core asks which RAM an address is",
    "stored_to": "a store drops the code that it overwrites",
    "on_cpuid": "an instruction that only reads registers",
    "on_sysenter": "an instruction that only loads registers",
    "current_engine": "says whose vCPU this thread runs",
}
BY_IO_MEMORY = ("on_mmio_read", "on_mmio_write")  # memory_in() and memory_out() enter, in io/memory.pyx
FUNCTION = re.compile(
    r"^( *)cdef (?!class )(?:inline )?[\w *]+?\b(\w+)\([^)]*\)[^\n]*:\n((?:\1 +[^\n]*\n|\n)+)", re.MULTILINE
)


def functions(path: Path) -> dict[str, str]:
    """Name -> body of each cdef function of a file."""
    return {found[2]: found[3] for found in FUNCTION.finditer(path.read_text())}


def crosses(name: str, bodies: dict[str, str], seen: frozenset[str] = frozenset()) -> bool:
    """Does it call enter(), itself or by a function of this file?"""
    body = bodies.get(name, "")
    if re.search(r"\benter\(", body):
        return True
    called = set(re.findall(r"\b(\w+)\(", body)) & set(bodies) - seen - {name}
    return any(crosses(other, bodies, seen | {name}) for other in called)


def handed_over(text: str) -> set[str]:
    """The functions whose address is taken."""
    return set(re.findall(r"<(?:void \*|uintptr_t)> (\w+)\b(?!\()", text))


def test_what_the_core_calls_on_unicorn_is_a_crossing() -> None:
    entries, around = set(), set()
    for path in (ENGINES / "unicorn" / f"{name}.pyx" for name in ("engine", "ports", "code_pages")):
        bodies = functions(path)
        here = (handed_over(path.read_text()) | {"current_engine"}) & set(bodies)
        entries |= here
        around |= {name for name in here if not crosses(name, bodies)}
    around -= set(BY_IO_MEMORY)
    assert {"in_byte", "out_long", "on_exception", "on_invalid_instruction", "exec_interrupt"} <= entries
    assert around == set(HOUSEKEEPING)


def test_what_kvm_comes_back_for_is_a_crossing() -> None:
    bodies = functions(ENGINES / "kvm" / "engine.pyx")
    served = {name for name in bodies if name.endswith("_exit")} | {"drain"}
    assert {"port_exit", "memory_exit"} <= served
    assert {name for name in served if not crosses(name, bodies)} == set()


@pytest.mark.parametrize("broken", ["cdef void on_exception(self) noexcept nogil:\n    pass\n"])
def test_a_way_around_is_found(broken: str, tmp_path: Path) -> None:
    (tmp_path / "broken.pyx").write_text(broken)
    assert not crosses("on_exception", functions(tmp_path / "broken.pyx"))
