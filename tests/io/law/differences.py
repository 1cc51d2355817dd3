# SPDX-License-Identifier: GPL-2.0-or-later
"""Compares what machines showed of the same programs, and prints a program that they disagree on.

Known differences, and who is right (Intel SDM):

| what | qemu's TCG 7.2 | ours | real CPUs |
|---|---|---|---|
| LOCK before a port instruction | ignored | #UD | #UD (vol. 2, LOCK) |
| a wide access that reaches beyond a device | all to the first device | split, as by the ISA bridge | split |
| a wide IN, not aligned, where nobody is at home | 0 | all ones | all ones |
| code runs into an absent page in mid-block: EIP of the #PF | the instruction | the block's start | the instruction |
| limits and types of segments | not checked | #GP, #SS | #GP, #SS |
| RF in the flags that a fault saves | 0 | 1 | 1 |
| an I/O breakpoint on a repeated string | the count is not moved | after each element | after each element |
| arithmetic flags at an I/O breakpoint | of some instruction before | as they are | as they are |
| BS in DR6 beside an I/O breakpoint | 0 | 1 | 1 |
| B0 in DR6 at a single step, DR0 as EIP, nothing enabled | 1 | 0 | either (vol. 3, 17.2.3) |

In what qemu runs UD2 stands for an instruction with LOCK. The others are not generated, or (RF) not compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from iced_x86 import Decoder, Formatter, FormatterSyntax

from .machines import FIELDS, Seen
from .programs import CODE, Program

Run = tuple[int, int, int, bytes]  # accesses one after the other: direction, port, size, data
AT: dict[str, int] = {name: number for number, name in enumerate(FIELDS)}


@dataclass(frozen=True, slots=True)
class Difference:
    """One program that two machines disagree on. what: a line for each thing that differs."""

    index: int
    left: str
    right: str
    what: tuple[str, ...]


def differences(programs: Sequence[Program], named: dict[str, Seen]) -> Iterator[Difference]:
    """Each program's first disagreement with the first of the machines."""
    (reference, expected), *others = named.items()
    for index in range(len(programs)):
        for name, seen in others:
            if seen.ran is not None and index not in seen.ran:
                continue
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
    if expected.accesses and seen.accesses:
        those, these = (without_reads(machine.accesses[index], seen.shadowed) for machine in (expected, seen))
        for run, other_run in zip(those, these, strict=False):
            if run != other_run:
                yield f"access {told(run)} / {told(other_run)}"
                return
        if len(those) != len(these):
            yield f"{len(those)} / {len(these)} runs of accesses"


def without_reads(runs: list[Run], ports: frozenset[int]) -> list[Run]:
    """Runs of accesses without those that read a byte of these ports; what is neighbours then is one run."""
    left: list[Run] = []
    for direction, port, size, data in runs:
        if not direction and size == 1 and port in ports:
            continue
        if left and left[-1][:3] == (direction, port, size):
            data = left.pop()[3] + data
        left.append((direction, port, size, data))
    return left


def shown(data: bytes) -> str:
    """Some bytes, shortened in the middle."""
    return data.hex() if len(data) <= 24 else f"{data[:12].hex()}..{data[-12:].hex()} ({len(data)} bytes)"


def told(access: Run) -> str:
    """A run of equal accesses."""
    direction, port, size, data = access
    return f"{'out' if direction else 'in'} {port:04x} {size} x {len(data) // size}: {shown(data)}"


def listing(program: Program) -> str:
    """The program as a person reads it: where it starts from, and its code."""
    names = ("eax", "ecx", "edx", "ebx", "", "ebp", "esi", "edi")
    registers = " ".join(f"{n}={v:08x}" for n, v in zip(names, program.registers, strict=True) if n)
    segments = " ".join(
        f"{n}={v:04x}" for n, v in zip(("es", "", "ss", "ds", "fs", "gs"), program.segments, strict=True) if n
    )
    flags = f"options={program.options} events={program.events} eflags={program.eflags:08x}"
    ports = f"tss_limit={program.tss_limit} iomap={program.iomap_base} allowed={program.allowed}"
    lines = [
        f"{program.mode.name} {flags} {ports}",
        registers,
        f"{segments} pages={program.pages.hex()}",
    ]
    code = program.code()
    start = program.code_offset + (CODE if program.wide else 0)
    decoder = Decoder(32 if program.wide else 16, code, ip=start)
    formatter = Formatter(FormatterSyntax.NASM)
    for instruction in decoder:
        at = instruction.ip - start
        lines.append(
            f"  {instruction.ip:05x} {code[at : at + instruction.len].hex():32s} {formatter.format(instruction)}"
        )
    return "\n".join(lines)
