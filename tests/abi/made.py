# SPDX-License-Identifier: GPL-2.0-or-later
"""Three conventions that hyperport does not have, one of each kind, in files of their own; offered() counts them in."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import hyperport.abi
from hyperport.abi import CONVENTIONS
from hyperport.abi.convention import Convention

HEAD = """
from hyperport.abi.convention import Action, Answer, Convention, Entry, Image, doorbell
from hyperport.abi.numbers import PORT_CALLS, PortRegisters
"""
FILES = {
    "belled": """
NUMBERS = {0x90 + place: call for place, call in enumerate(PORT_CALLS)}

def image(calls):
    code = b"".join(doorbell(number) + bytes([0xC3]) for number in NUMBERS)
    return Image(0xD0000, code, {3 * place: number for place, number in enumerate(NUMBERS)})

CONVENTION = Convention(
    name="belled", summary="doorbells of our own", found_by="knowing it", kind=Entry.DOORBELL,
    instructions=tuple(doorbell(n) for n in NUMBERS), image=image,
    registers=PortRegisters("ebx", "ecx", "ecx", "esi", "edi", "eax"),
    ports=NUMBERS, calls={}, unknown=None, highest_cpl=0,
)
""",
    "opcode": """
CONVENTION = Convention(
    name="opcode", summary="0F 0A", found_by="knowing it", kind=Entry.INSTRUCTION,
    instructions=(bytes.fromhex("0f0a"),), number="ebp", as_native=True,
    registers=PortRegisters("edx", "eax", "ecx", "esi", "edi", "eax"),
    ports={0xFFFFFFF0 + place: call for place, call in enumerate(PORT_CALLS)},
    calls={0x80000000: Answer(Action.NOTHING, -7), 5: Answer(Action.KILL, reason="call 5 is deadly")},
    unknown=Answer(Action.NOTHING, -1), highest_cpl=2,
)
""",
    "vectored": """
CONVENTION = Convention(
    name="vectored", summary="INT 2Eh", found_by="knowing it", kind=Entry.VECTOR,
    instructions=(bytes((0xCD, 0x2E)),), number="esi",
    registers=PortRegisters("edx", "ecx", "ecx", "edi", "edi", "ebx"),
    ports={1000 * place: call for place, call in enumerate(PORT_CALLS)},
    calls={7: Answer(Action.SHUTDOWN)}, unknown=Answer(Action.KILL, reason="unknown call"), highest_cpl=0,
)
""",
}


@contextmanager
def offered(directory: Path) -> Iterator[dict[str, Convention]]:
    """The three files in a folder that counts as abi/."""
    for name, text in FILES.items():
        (directory / f"{name}.py").write_text(HEAD + text)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(hyperport.abi, "__path__", [*hyperport.abi.__path__, str(directory)])
            for name, convention in hyperport.abi.find().items():
                patch.setitem(CONVENTIONS, name, convention)
            yield CONVENTIONS
    finally:
        for name in FILES:
            sys.modules.pop(f"hyperport.abi.{name}", None)
