# SPDX-License-Identifier: GPL-2.0-or-later
"""Compares what machines showed of the same programs, and prints a program that they disagree on.

Known differences, and who is right (Intel SDM):

| what | qemu's TCG | ours | real CPUs |
|---|---|---|---|
| REP INS/OUTS, count 0, forbidden port | #GP | nothing happens | not settled by the SDM; decision 11 |
| LOCK before a port instruction | ignored | #UD | #UD (vol. 2, LOCK) |
| LOCK before REP INS/OUTS, count 0 | ignored | nothing happens | #UD |
| limits and types of segments | not checked | not checked | #GP, #SS |
| RF in the flags that a fault saves | 0 | 0 | 1 |

Nothing of the last two is generated or compared. LOCK is UD2 in what qemu runs. The two with count 0 are excused where
they occur, and counted: the program's end under qemu is that exception, at a REP string instruction whose count is 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from iced_x86 import Decoder, Formatter, FormatterSyntax

from .machines import FIELDS, Seen
from .programs import CODE, Program

VECTOR_UD, VECTOR_GP = 6, 13
AT: dict[str, int] = {name: number for number, name in enumerate(FIELDS)}


@dataclass(frozen=True, slots=True)
class Difference:
    """One program that two machines disagree on. what: a line for each thing that differs."""

    index: int
    left: str
    right: str
    what: tuple[str, ...]


def excused(program: Program, end: tuple[int, ...]) -> bool:
    """Is the end that qemu reports of this program one of the known differences with count 0?"""
    vector, eip = end[AT["vector"]], end[AT["eip"]]
    at = program.code_offset + (CODE if program.wide else 0)
    for part in program.body:
        if at == eip and part.count_width:
            count = end[AT["ecx"]] & ((1 << 8 * part.count_width) - 1)
            return count == 0 and vector == (VECTOR_UD if part.locked else VECTOR_GP)
        at += len(part.code)
    return False


def differences(programs: list[Program], named: dict[str, Seen]) -> Iterator[Difference]:
    """Each program's first disagreement with the first of the machines; excused() ones must have been left out."""
    (reference, expected), *others = named.items()
    for index in range(len(programs)):
        for name, seen in others:
            what = list(disagreements(expected, seen, index))
            if what:
                yield Difference(index, reference, name, tuple(what))
                break


def disagreements(expected: Seen, seen: Seen, index: int) -> Iterator[str]:
    """A line for each thing that two machines show differently of one program."""
    left, right = expected.reports[index], seen.reports[index]
    for number, (one, other) in enumerate(zip(left, right, strict=False)):
        fields = [f"{name} {a:#x} / {b:#x}" for name, a, b in zip(FIELDS, one, other, strict=True) if a != b]
        if fields:
            yield f"report {number}: {', '.join(fields)}"
    if len(left) != len(right):
        yield f"{len(left)} / {len(right)} reports"
    if expected.log[index] != seen.log[index]:
        yield f"log {shown(expected.log[index])} / {shown(seen.log[index])}"
    if expected.accesses and seen.accesses and expected.accesses[index] != seen.accesses[index]:
        for one, other in zip(expected.accesses[index], seen.accesses[index], strict=False):
            if one != other:
                yield f"access {told(one)} / {told(other)}"
                return
        yield f"{len(expected.accesses[index])} / {len(seen.accesses[index])} runs of accesses"


def shown(data: bytes) -> str:
    """Some bytes, shortened in the middle."""
    return data.hex() if len(data) <= 24 else f"{data[:12].hex()}..{data[-12:].hex()} ({len(data)} bytes)"


def told(access: tuple[int, int, int, bytes]) -> str:
    """A run of equal accesses."""
    direction, port, size, data = access
    return f"{'out' if direction else 'in'} {port:04x} {size} x {len(data) // size}: {shown(data)}"


def listing(program: Program) -> str:
    """The program as a person reads it: where it starts from, and its code."""
    names = ("eax", "ecx", "edx", "ebx", "", "ebp", "esi", "edi")
    registers = " ".join(f"{n}={v:08x}" for n, v in zip(names, program.registers, strict=True) if n)
    segments = " ".join(f"{n}={v:04x}" for n, v in zip(("es", "", "ss", "ds", "fs", "gs"), program.segments, strict=True) if n)
    lines = [
        f"{program.mode.name} options={program.options} events={program.events} eflags={program.eflags:08x} "
        f"tss_limit={program.tss_limit} iomap={program.iomap_base} allowed={program.allowed}",
        registers,
        f"{segments} pages={program.pages.hex()}",
    ]
    code = program.code()
    start = program.code_offset + (CODE if program.wide else 0)
    decoder = Decoder(32 if program.wide else 16, code, ip=start)
    formatter = Formatter(FormatterSyntax.NASM)
    for instruction in decoder:
        at = instruction.ip - start
        lines.append(f"  {instruction.ip:05x} {code[at : at + instruction.len].hex():32s} {formatter.format(instruction)}")
    return "\n".join(lines)
