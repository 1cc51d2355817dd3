# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs whose loads and stores reach device memory, beside the same programs over memory that is plain RAM.

A program is some instructions whose operands lie in two windows of device memory, or across an edge of them: all sizes
from 1 byte to the 512 of FXSAVE, strings, read-modify-write with LOCK, stacks, gates and descriptors. The devices keep
what is stored, so in the end registers, memory and what the devices hold must be what the same program leaves where
the windows are regions of RAM. Only time and the page tables of mode "tables" know the difference: there the model is
a ROM of ones, which is what a page walk finds in device memory.
"""

from __future__ import annotations

import random
import re
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hyperport import Device
from hyperport.cpu.state import CpuState, FpuState, Table, protected_flat, real_mode
from hyperport.engines.base import Stop
from hyperport.io.exit import ExitPath
from hyperport.io.trap import TrapPath
from hyperport.lines.attention import StopKind
from hyperport.memory.map import Region
from hyperport.time.clock import VirtualClock
from hyperport.time.insn_clock import InsnClock

from ..board import Board

PAGE: Final = 4096
WIDE, WIDE_SIZE = 0xD0000, 2 * PAGE  # takes bytes, words and doublewords
NARROW, NARROW_SIZE = 0xD3000, PAGE  # bytes alone; between them is a hole
ROM: Final = 0xD4000
LOW, HIGH = 0xCE000, 0xD6000  # what a program may reach, with RAM before and behind
EDGES: Final = (WIDE, WIDE + PAGE, WIDE + WIDE_SIZE, NARROW, NARROW + NARROW_SIZE, ROM + PAGE)
CODE: Final = 0x10000
ROOM: Final = 0x400  # bytes of one program
GDT, IDT, HANDLER, STACK = 0x1000, 0x2000, 0x3000, 0x78000
TABLES, LINEAR = 0x100000, 0x400000  # page tables, and where mode "paging" has the pages below in another order
SHUFFLED: Final = (0xCF, 0xD0, 0xCE, 0xD1, 0xD5, 0xD3, 0xD2, 0xD0, 0xD4, 0xD1, 0x78)
PORT: Final = 0x340
MODES: Final = ("flat",) * 6 + ("stack",) * 2 + ("real", "paging", "idt", "gdt", "tables")
PATHS: Final = {"exit": ExitPath, "trap": TrapPath}
CLOCKS: Final = {"virtual": VirtualClock, "insns": InsnClock}
ENDLESS_S: Final = 2.0  # a program that runs longer has jumped to where it loops
ONES: Final = b"\xff" * PAGE

REGISTERS: Final = {
    1: ("%al", "%bl", "%cl", "%dl"),
    2: ("%ax", "%bx", "%cx", "%dx"),
    4: ("%eax", "%ebx", "%ecx", "%edx"),
}
SUFFIX: Final = {1: "b", 2: "w", 4: "l"}
# What stands in these: {r} a register of the size, {m} the operand, {s} the suffix, {i} a small number.
ANY_SIZE: Final = (
    *(f"{op}{{s}} {{r}}, {{m}}" for op in ("add", "adc", "sbb", "and", "sub", "xor", "or", "cmp", "mov", "test",
    "xchg")),
    *(f"{op}{{s}} {{m}}, {{r}}" for op in ("add", "adc", "sbb", "and", "sub", "xor", "or", "cmp", "mov")),
    *(f"{op}{{s}} ${{i}}, {{m}}" for op in ("add", "and", "xor", "cmp", "mov", "shl", "rcr", "rol", "sar")),
    *(f"{op}{{s}} %cl, {{m}}" for op in ("shr", "rcl", "ror")),
    *(f"{op}{{s}} {{m}}" for op in ("inc", "dec", "not", "neg", "mul", "imul", "div", "idiv")),
    *(f"lock {op}{{s}} {{r}}, {{m}}" for op in ("add", "xadd", "cmpxchg", "or")),
    *("lock inc{s} {m}", "xadd{s} {r}, {m}", "cmpxchg{s} {r}, {m}"),
)  # fmt: skip
WORDS: Final = (  # 2 and 4 bytes
    *(f"{op}, {{m}}\n setc %dh\n cmp $1, %dh" for op in (  # the other flags are undefined, and not always the same
        "bt{s} {r}", "bts{s} {r}", "btr{s} {r}", "btc{s} {r}", "lock bts{s} ${i}", "lock btr{s} ${i}", "btc{s} ${i}",
        "bt{s} ${i}",
    )),
    *("shld{s} ${i}, {r}, {m}", "shrd{s} %cl, {r}, {m}", "imul{s} {m}, {r}", "imul{s} ${i}, {m}, {r}"),
    *("cmovz{s} {m}, {r}", "cmovnc{s} {m}, {r}", "bsf{s} {m}, {r}", "bsr{s} {m}, {r}"),
)  # fmt: skip
PLAIN: Final = tuple(text for text in ANY_SIZE if "mul" not in text and "div" not in text)  # with all flags defined
OTHERS: Final = (  # (bytes of the operand, instruction)
    *((size, f"{op} {{m}}") for size, op in (
        (4, "flds"), (8, "fldl"), (10, "fldt"), (4, "fsts"), (8, "fstl"), (8, "fstpl"), (10, "fstpt"), (2, "filds"),
        (4, "fildl"), (8, "fildll"), (2, "fistps"), (4, "fistpl"), (8, "fistpll"), (10, "fbld"), (10, "fbstp"),
        (4, "fadds"), (8, "fmull"), (2, "fiadds"), (4, "fcoms"), (8, "fdivrl"), (2, "fldcw"), (2, "fnstcw"),
        (2, "fnstsw"),
        (28, "fnstenv"), (28, "fldenv"), (108, "fnsave"), (108, "frstor"), (512, "fxsave"), (512, "fxrstor"),
        (4, "ldmxcsr"), (4, "stmxcsr"), (6, "sgdt"), (6, "sidt"), (2, "smsw"), (2, "sldt"), (2, "str"), (1, "setz"),
        (1, "invlpg"), (8, "cmpxchg8b"), (8, "lock cmpxchg8b"), (2, "verr"), (2, "verw"),
    )),
    *((size, f"{op} {{m}}, %xmm{n}") for n, (size, op) in enumerate((
        (16, "movups"), (16, "movaps"), (16, "movdqu"), (4, "movss"), (8, "movsd"), (8, "movq"), (4, "movd"),
        (8, "movhps"),
        (16, "addps"), (4, "addss"), (8, "cvtpi2ps"), (4, "comiss"), (16, "shufps $3,"), (16, "andps"), (8, "cvtps2pd"),
    )) for n in (n % 8,)),
    *((size, f"{op} %xmm{n}, {{m}}") for n, (size, op) in enumerate((
        (16, "movups"), (16, "movaps"), (16, "movdqu"), (4, "movss"), (8, "movsd"), (8, "movq"), (4, "movd"),
        (8, "movlps"),
        (8, "movhps"), (16, "movntps"),
    )) for n in (n % 8,)),
    *((8, f"{op} {{m}}, %mm1") for op in ("movq", "paddb", "pxor", "punpcklbw")), (8, "movq %mm1, {m}"),
    (4, "movd %mm1, {m}"), (4, "movd {m}, %mm1"), (1, "movzbl {m}, %eax"), (1, "movsbw {m}, %bx"),
    (2, "movzwl {m}, %ecx"),
    (2, "movswl {m}, %edx"), (2, "mov %ds, {m}"), (2, "mov %cs, {m}"), (8, "boundl %eax, {m}"), (2, "larw {m}, %cx"),
    (1, "prefetcht0 {m}"), (4, "pushl {m}"), (4, "popl {m}"), (2, "pushw {m}"), (2, "popw {m}"),
    (2, "movw $0x18, {m}\n mov {m}, %es"), (6, "movw $0x18, 4+{m}\n lesl {m}, %ebx"),
    (6, "movw $0x18, 4+{m}\n lfsl {m}, %ecx"),
    (4, "movl $77f, {m}\n call *{m}\n77: nop"), (4, "movl $78f, {m}\n jmp *{m}\n78: nop"),
    (6, "movl $79f, {m}\n movw $0x10, 4+{m}\n lcall *{m}\n79: nop"), (4, "mov {m}, %eax\n mov %eax, %dr0"),
    (4, "movnti %eax, {m}"), (1, "mov ${a}, %ebx\n mov $3, %al\n xlat"),
)  # fmt: skip
STACK_WORDS: Final = (
    "push %eax", "pushw %bx", "push $0x1234", "pushf", "pusha", "pushaw", "push %ds", "pop %ecx", "popw %dx", "popf",
    "popa", "call 1f\n1: nop", "call 2f\n jmp 3f\n2: ret\n3: nop", "call 2f\n jmp 3f\n2: ret $4\n3: nop",
    "enter $16, $0",
    "enter $8, $3", "leave", "int $0x41", "int3", "push %es\n pop %fs", "pushf\n push %cs\n push $4f\n iret\n4: nop",
    "push %cs\n push $5f\n lret\n5: nop", "lcall $0x10, $6f\n6: nop", "pushl 4(%esp)", "popl 4(%esp)", "ud2",
)  # fmt: skip
LABEL: Final = re.compile(r"\$\d+f\b")
STRINGS: Final = ("movs", "stos", "lods", "cmps", "scas", "ins", "outs")


@dataclass(frozen=True)
class Program:
    """mode: one of MODES; listing: assembly; seed of its registers and of memory."""

    mode: str
    listing: str
    seed: str


def _edge(rng: random.Random, size: int, align: int = 1) -> int:
    """An address at, across or near an edge; sometimes in the midst."""
    at = rng.choice(EDGES) + rng.randint(-size - 2, 3) if rng.random() < 0.8 else rng.randrange(LOW + 1024, HIGH - 1024)
    return at & -align


def _instruction(rng: random.Random, mode: str, kvm: bool) -> str:
    kind = rng.random()
    if kvm and 0.45 <= kind < 0.88:
        while "std" in (text := _string(rng, mode)) and "ins" in text:  # KVM reads ahead, and forgets what it has read
            pass
        return text
    if kvm:
        size = rng.choice((1, 2, 4))
        return _filled(rng, mode, size, rng.choice(PLAIN), size)
    if kind < 0.35:
        size = rng.choice((1, 2, 4))
        return _filled(rng, mode, size, rng.choice(ANY_SIZE), size)
    if kind < 0.45:
        size = rng.choice((2, 4))
        return "and $0x7f, %eax\n and $0x7f, %ecx\n" + _filled(rng, mode, size, rng.choice(WORDS), size)
    if kind < 0.7:
        size, text = rng.choice(OTHERS)
        return _filled(rng, mode, size, text, 4)
    if kind < 0.88:
        return _string(rng, mode)
    before = f"mov ${_place(rng, mode, 4):#x}, %ebp\n" if rng.random() < 0.5 else ""
    return before + rng.choice(STACK_WORDS)


def _place(rng: random.Random, mode: str, size: int, align: int = 1) -> int:
    """An address as the program says it."""
    if mode in ("paging", "tables"):
        return (LINEAR + rng.randrange(1, len(SHUFFLED) - 1) * PAGE + rng.randint(-size - 2, 3)) & -align
    at = _edge(rng, size, align)
    return at - WIDE & 0xFFFF if mode == "real" else at


def _filled(rng: random.Random, mode: str, size: int, text: str, register: int) -> str:
    align = 16 if size in (16, 512) and rng.random() < 0.9 else rng.choice((1, 1, size & -size))
    at = _place(rng, mode, size, align)
    way = rng.random()
    operand, before = f"{at:#x}", ""
    if way < 0.4:
        base, back = rng.choice(("esi", "edi")), rng.randint(-100, 100)
        before, operand = f"mov ${(at - back) & 0xFFFFFFFF:#x}, %{base}\n ", f"{back}(%{base})"
    return before + text.format(
        m=operand, r=rng.choice(REGISTERS[register]), s=SUFFIX[register], i=rng.randint(1, 15), a=at
    )


def _string(rng: random.Random, mode: str) -> str:
    size, name = rng.choice((1, 2, 4)), rng.choice(STRINGS)
    repeat = rng.choice(("", "rep ", "rep ")) if name not in ("cmps", "scas") else rng.choice(("", "repe ", "repne "))
    lines = [f"mov ${_place(rng, mode, size):#x}, %edi", f"mov ${_place(rng, mode, size):#x}, %esi"]
    lines += [f"mov ${rng.choice((0, 1, 2, 3, 7, 40)):#x}, %ecx", rng.choice(("std", "cld", "cld"))]
    lines += [f"mov ${PORT:#x}, %edx"] if name in ("ins", "outs") else []
    return "\n ".join([*lines, f"{repeat}{name}{SUFFIX[size]}"])


def program(seed: str, index: int, kvm: bool = False) -> Program:
    """Program number index of a seed, always the same. kvm: only what KVM's emulator has, see PLAIN."""
    rng = random.Random(f"{seed}/{index}")
    mode = "flat" if kvm else rng.choice(MODES)
    lines = [_instruction(rng, mode, kvm) for _ in range(rng.randint(1, 6))]
    if mode == "real":  # where the address of a label is no offset
        lines = [line for line in lines if not LABEL.search(line)]
    return Program(mode, "\n ".join(lines), f"{seed}/{index}/state")


def assembled(programs: Sequence[Program]) -> list[bytes]:
    """Their bytes; each ends in HLT, and lies ROOM bytes behind the one before it, from CODE on."""
    parts = []
    for number, made in enumerate(programs):
        bits = ".code16" if made.mode == "real" else ".code32"
        parts.append(f".org {number * ROOM}\n{bits}\n{made.listing}\n hlt\n")
    with tempfile.TemporaryDirectory() as directory:
        thing, flat = Path(directory, "thing.elf"), Path(directory, "flat")
        subprocess.run(
            ["as", "--32", "--no-warn", "-o", f"{thing}.o", "-"],
            input=".text\n" + "".join(parts),
            text=True,
            check=True,
        )
        subprocess.run(["ld", "-m", "elf_i386", f"-Ttext={CODE:#x}", "-e", "0", "-o", thing, f"{thing}.o"], check=True)
        subprocess.run(["objcopy", "-O", "binary", "-j", ".text", thing, flat], check=True)
        content = flat.read_bytes()
    return [content[at : at + ROOM] for at in range(0, len(programs) * ROOM, ROOM)]


class Store(Device):
    """Device memory that keeps what is stored, and takes only what the bus may give it."""

    stateless = True

    def __init__(self, size: int, widths: tuple[int, ...]) -> None:
        self.memory_span, self.memory_widths = size, widths
        self.bytes = bytearray(size)

    def memory_read(self, offset: int, size: int) -> int:
        """What was stored last."""
        self._check(offset, size)
        return int.from_bytes(self.bytes[offset : offset + size], "little")

    def memory_write(self, offset: int, size: int, value: int) -> None:
        """Keep it."""
        self._check(offset, size)
        self.bytes[offset : offset + size] = value.to_bytes(size, "little")

    def _check(self, offset: int, size: int) -> None:
        if size not in self.memory_widths or offset % size or not 0 <= offset <= self.memory_span - size:
            raise AssertionError(f"an access of {size} bytes at {offset:#x}")


class Bytes(Device):
    """A port that answers 1, 2, 3 ..., a byte at a time, and adds up what it is given."""

    span = 4
    stateless = True

    def __init__(self) -> None:
        self.given = self.taken = 0

    def read(self, offset: int, size: int) -> int:
        """The next number."""
        self.given = self.given + 1 & 0xFF
        return self.given

    def write(self, offset: int, size: int, value: int) -> None:
        """Add it up."""
        self.taken = (self.taken * 31 + value) & 0xFFFFFFFF


class Bench:
    """A board whose windows are device memory, or (model) regions of RAM."""

    def __init__(self, engine: str, path: str, clock: str, model: bool) -> None:
        self.board = Board(engine, path=PATHS[path], clock=CLOCKS[clock]())
        self.model, self.port = model, Bytes()
        self.board.bus.attach(self.port, PORT)
        regions = self.board.memory.map
        self.windows: list[Any] = []
        self.ones: Region | None = None
        for name, base, size, widths in (("wide", WIDE, WIDE_SIZE, (1, 2, 4)), ("narrow", NARROW, NARROW_SIZE, (1,))):
            if model:
                self.windows.append(regions.ram(name, base, size))
            else:
                self.windows.append(store := Store(size, widths))
                self.board.bus.attach_memory(regions, store, base)
        if model:
            self.windows[0].unmap()
            self.ones = regions.rom("ones", WIDE, WIDE_SIZE)
            self.ones.write(0, ONES * 2)
            self.ones.unmap()
            self.windows[0].map()
        regions.hole("gap", WIDE + WIDE_SIZE, PAGE)
        self.rom = regions.rom("rom", ROM, PAGE)

    def fill(self, number: int, data: bytes) -> None:
        """Give a window its bytes."""
        window = self.windows[number]
        if self.model:
            window.write(0, data)
        else:
            window.bytes[:] = data

    def held(self) -> list[bytes]:
        """What the windows hold."""
        return [w.read(0, w.size) if self.model else bytes(w.bytes) for w in self.windows]

    def run(self, made: Program, code: bytes, at: int) -> tuple[Stop, CpuState]:
        """Run it from a state that depends on it alone."""
        rng = random.Random(made.seed)
        memory = self.board.memory
        memory.write(0, b"\xf4" * memory.size)  # HLT, wherever it jumps to
        memory.write(LOW, rng.randbytes(HIGH - LOW))
        memory.write(STACK - PAGE, rng.randbytes(2 * PAGE))
        wide, narrow, rom = (bytearray(rng.randbytes(size)) for size in (WIDE_SIZE, NARROW_SIZE, PAGE))
        gdt = bytes(8) + b"".join(
            bytes.fromhex(text) for text in ("ffff0000009acf00", "ffff0000009acf00", "ffff00000092cf00")
        )
        idt = b"".join((HANDLER + 2 * n | 0x10 << 16 | 0x8E00 << 32).to_bytes(8, "little") for n in range(0x42))
        memory.write(HANDLER, b"\x90\xf4" * 0x42)
        memory.write(GDT, gdt)
        memory.write(IDT, idt)
        memory.write(at, code)
        state = real_mode(cs=CODE >> 4, ip=at - CODE, data=WIDE >> 4) if made.mode == "real" else protected_flat(eip=at)
        if made.mode == "real":
            memory.write(0, b"".join((HANDLER + 2 * n).to_bytes(4, "little") for n in range(0x42)))
        for name in ("eax", "ebx", "ecx", "edx", "ebp", "esi", "edi"):
            setattr(state, name, rng.getrandbits(32))
        state.esp = STACK - WIDE & 0xFFFF if made.mode == "real" else STACK
        state.ebp = rng.choice(EDGES) + rng.randint(-40, 40)
        state.gdtr, state.cr4 = Table(GDT, 0x1F), 0x600
        state.idtr = Table(0, 0x3FF) if made.mode == "real" else Table(IDT, 8 * 0x42 - 1)
        state.fpu = FpuState(xmm=tuple(rng.randbytes(16) for _ in range(8)))
        if made.mode == "stack":
            state.esp = rng.choice(EDGES) + rng.randint(-40, 20)
        elif made.mode == "idt":
            base = rng.choice((0, 0xEF0, 0xFFC, WIDE_SIZE - 0x210))
            wide[base : base + len(idt)] = idt
            state.idtr = Table(WIDE + base, 8 * 0x42 - 1)
        elif made.mode == "gdt":
            base = rng.choice((0, 0xFF4, 0xFE8, WIDE_SIZE - 32))
            wide[base : base + len(gdt)] = gdt
            state.gdtr = Table(WIDE + base, 0x1F)
        elif made.mode in ("paging", "tables"):
            self._paging(state, made.mode)
        if self.ones is not None:
            (self.windows[0] if made.mode == "tables" else self.ones).unmap()
            (self.ones if made.mode == "tables" else self.windows[0]).map()
        for number, data in enumerate((wide, narrow)):
            self.fill(number, bytes(data))
        self.rom.write(0, bytes(rom))
        self.port.given = self.port.taken = 0
        self.board.engine.set_state(state)
        alarm = threading.Timer(ENDLESS_S, self.board.attention.stop, (StopKind.TIMEOUT,))
        alarm.start()
        stop = self.board.engine.run()
        alarm.cancel()
        alarm.join()
        self.board.attention.take_stop()
        return stop, self.board.engine.state()

    def _paging(self, state: CpuState, mode: str) -> None:
        entries = [page << 12 | 7 for page in range(1024)]
        shuffled = [page << 12 | 7 for page in SHUFFLED]
        write = self.board.memory.write
        write(TABLES, b"".join((TABLES + at | 7).to_bytes(4, "little") for at in (0x1000, 0x2000)))
        write(TABLES + 0x1000, b"".join(entry.to_bytes(4, "little") for entry in entries))
        write(TABLES + 0x2000, b"".join(entry.to_bytes(4, "little") for entry in shuffled))
        state.ebp += LINEAR - WIDE
        state.cr3, state.cr0 = TABLES, state.cr0 | 0x80000000
        if mode == "tables":  # the second directory's entry leads to the window
            write(TABLES + 4, (WIDE | 7).to_bytes(4, "little"))

    def close(self) -> None:
        """Give it back."""
        self.board.engine.close()


class WindowError(AssertionError):
    """A program ended otherwise over device memory than over RAM."""


class Pair:
    """The two benches. engine, path, clock: of both."""

    def __init__(self, engine: str = "unicorn", path: str = "exit", clock: str = "virtual") -> None:
        self.engine, self.path, self.clock = engine, path, clock
        self.benches = [Bench(engine, path, clock, True), Bench(engine, path, clock, False)]

    def run(self, made: Program, code: bytes, at: int) -> str:
        """How it ended. Raises WindowError where the two differ."""
        (model_stop, model), (stop, state) = [bench.run(made, code, at) for bench in self.benches]
        if stop.kind == StopKind.ENGINE_ABORT and self.engine == "kvm":
            self.benches[1].close()
            self.benches[1] = Bench(self.engine, self.path, self.clock, False)
            return "not emulated"
        if StopKind.TIMEOUT in (stop.kind, model_stop.kind):
            return "endless"
        wrong = state.differences(model)
        if stop.kind != model_stop.kind:
            wrong.append(f"{stop.kind.name}, not {model_stop.kind.name}")
        for bench_model, bench in zip(
            self._ends(self.benches[0], made), self._ends(self.benches[1], made), strict=True
        ):
            if bench_model[1] != bench[1]:
                wrong.append(bench[0])
        if wrong:
            raise WindowError(f"{made.mode}: {', '.join(wrong)} differ:\n{made.listing}")
        return made.mode if stop.kind == StopKind.HALT else stop.kind.name.lower()

    @staticmethod
    def _ends(bench: Bench, made: Program) -> list[tuple[str, Any]]:
        memory = bench.board.memory
        windows = bench.held()
        if made.mode == "tables":
            windows = []  # the model's are not mapped
        return [
            ("memory", memory.read(0, WIDE) + memory.read(WIDE + WIDE_SIZE, memory.size - WIDE - WIDE_SIZE)),
            ("windows", windows),
            ("ROM", bench.rom.read(0, PAGE)),
            ("port", (bench.port.given, bench.port.taken)),
        ]

    def close(self) -> None:
        """Give both back."""
        for bench in self.benches:
            bench.close()


def run_windows(seed: str, indices: range, pair: Pair, batch: int = 100) -> dict[str, int]:
    """Run programs of a seed; how many ended in which way. Raises WindowError with the number of a bad one."""
    counts: dict[str, int] = {}
    for first in range(indices.start, indices.stop, batch):
        numbers = range(first, min(indices.stop, first + batch))
        programs = [program(seed, number, pair.engine == "kvm") for number in numbers]
        for place, (number, made, code) in enumerate(zip(numbers, programs, assembled(programs), strict=True)):
            try:
                kind = pair.run(made, code, CODE + place * ROOM)
            except Exception as error:
                error.add_note(f"program {number} of seed {seed}")
                raise
            counts[kind] = counts.get(kind, 0) + 1
    return counts
