# SPDX-License-Identifier: GPL-2.0-or-later
"""Random programs of integer instructions, for a processor and for the core: what both must do alike.

Each program begins with its own registers and flags and ends with storing them; memory goes on from one to the next.
Flags that an instruction leaves undefined (SDM vol. 2) are cleared behind it. The text is for GNU as.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Final

DATA: Final = 0x300800  # 256 bytes that programs work on
RESULTS: Final = 0x500000
RECORD: Final = 40  # bytes of a program's end: EAX, EBX, ECX, EDX, ESI, EDI, EBP, EFLAGS, ESP
STACK: Final = 0x3F0000
REGISTERS: Final = {
    32: ("eax", "ebx", "ecx", "edx", "esi", "edi", "ebp"),
    16: ("ax", "bx", "cx", "dx", "si", "di", "bp"),
    8: ("al", "ah", "bl", "bh", "cl", "ch", "dl", "dh"),
}
PTR: Final = {32: "dword ptr", 16: "word ptr", 8: "byte ptr"}
SUFFIX: Final = {32: "d", 16: "w", 8: "b"}
CONDITIONS: Final = ("o", "no", "b", "ae", "z", "nz", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g")
CF, PF, AF, ZF, SF, OF = 0x001, 0x004, 0x010, 0x040, 0x080, 0x800
ARITHMETIC: Final = CF | PF | AF | ZF | SF | OF
FIXED: Final = 0x202  # IF is on in a process, and nothing interrupts the guest
DECIMAL: Final = {  # and the flags that it leaves undefined
    **dict.fromkeys(("daa", "das"), OF),
    **dict.fromkeys(("aaa", "aas"), OF | SF | ZF | PF),
    **dict.fromkeys(("aam", "aad"), OF | AF | CF),
}
SHIFTS: Final = ("shl", "shr", "sar", "rol", "ror", "rcl", "rcr")
COUNTS: Final = (0, 1, 1, 2, 5, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 64, 255)


class Programs:
    """count programs of a seed, as lines of assembly."""

    def __init__(self, seed: int, count: int) -> None:
        self.random = Random(seed)
        self.count = count
        self.labels = 0

    def lines(self) -> Iterator[str]:
        """Code that expects ESP; falls through at its end."""
        for number in range(self.count):
            flags = FIXED | self.random.choice((0, ARITHMETIC, CF, PF, AF, ZF, SF, OF))
            yield from (f"push {flags}", "popf")
            for register in REGISTERS[32]:
                value = self.random.choice((0, 1, 0xFFFFFFFF, 0x80000000, 0x7FFFFFFF, self.random.getrandbits(32)))
                yield f"mov {register}, {value:#x}"
            for _ in range(self.random.randrange(3, 14)):
                yield from self.random.choice(KINDS)(self)
            at = RESULTS + number * RECORD
            for index, register in enumerate(REGISTERS[32]):
                yield f"mov dword ptr ds:[{at + 4 * index:#x}], {register}"
            yield from ("pushf", f"pop dword ptr ds:[{at + 28:#x}]", f"mov dword ptr ds:[{at + 32:#x}], esp", "cld")

    def width(self, *widths: int) -> int:
        return self.random.choice(widths or (32, 32, 16, 8))

    def register(self, width: int) -> str:
        return self.random.choice(REGISTERS[width])

    def memory(self, width: int) -> str:
        return f"{PTR[width]} ds:[{DATA + self.random.randrange(64):#x}]"

    def either(self, width: int) -> str:
        return self.random.choice((self.register, self.memory))(width)

    def number(self, width: int) -> int:
        half = 1 << width - 1
        return self.random.choice((0, 1, -1, 2, 127, -128, half - 1, -half, self.random.randrange(-half, half)))

    def label(self) -> str:
        self.labels += 1
        return f"L{self.labels}"


def _defined(undefined: int) -> list[str]:
    return ["pushf", f"and dword ptr [esp], {~undefined & 0xFFFFFFFF:#x}", "popf"] if undefined else []


def _arithmetic(p: Programs) -> list[str]:
    operation, width = p.random.choice(("add", "adc", "sub", "sbb", "cmp")), p.width()
    left, right = p.random.choice(
        ((p.register(width), p.memory(width)), (p.either(width), p.register(width)), (p.either(width), p.number(width)))
    )
    return [f"{operation} {left}, {right}"]


def _logic(p: Programs) -> list[str]:
    operation, width = p.random.choice(("and", "or", "xor", "test")), p.width()
    return [f"{operation} {p.either(width)}, {p.random.choice((p.register(width), p.number(width)))}", *_defined(AF)]


def _single(p: Programs) -> list[str]:
    return [f"{p.random.choice(('inc', 'dec', 'neg', 'not'))} {p.either(p.width())}"]


def _shift(p: Programs) -> list[str]:
    operation, width, count = p.random.choice(SHIFTS), p.width(), p.random.choice(COUNTS)
    to = p.either(width)
    code = [f"{operation} {to}, {count}"] if p.random.random() < 0.5 else [f"mov cl, {count}", f"{operation} {to}, cl"]
    count &= 31
    shifts = operation.startswith("s")
    undefined = (OF if count != 1 else 0) | (AF if shifts else 0)
    undefined |= CF if shifts and operation != "sar" and count >= width else 0
    return code + _defined(undefined if count else 0)


def _double_shift(p: Programs) -> list[str]:
    width = p.width(32, 16)
    count = p.random.choice((0, 1, 2, 7, width - 1))
    code = f"{p.random.choice(('shld', 'shrd'))} {p.either(width)}, {p.register(width)}, {count}"
    return [code, *_defined((AF | (OF if count != 1 else 0)) if count else 0)]


def _bits(p: Programs) -> list[str]:
    width = p.width(32, 16)
    if p.random.random() < 0.5:
        return [f"{p.random.choice(('bsf', 'bsr'))} {p.register(width)}, {p.either(width)}", *_defined(ARITHMETIC ^ ZF)]
    to, bit = p.random.choice(((p.either(width), p.random.randrange(width)), (p.register(width), p.register(width))))
    return [f"{p.random.choice(('bt', 'bts', 'btr', 'btc'))} {to}, {bit}", *_defined(ARITHMETIC ^ (CF | ZF))]


def _multiply(p: Programs) -> list[str]:
    width, small = p.width(), p.width(32, 16)
    code = (
        f"{p.random.choice(('mul', 'imul'))} {p.either(width)}",
        f"imul {p.register(small)}, {p.either(small)}",
        f"imul {p.register(small)}, {p.either(small)}, {p.number(8)}",
    )
    return [code[p.random.randrange(3)], *_defined(ARITHMETIC ^ (CF | OF))]


def _exchange(p: Programs) -> list[str]:
    width = p.width()
    if p.random.random() < 0.3:
        return [f"cmpxchg8b qword ptr ds:[{DATA + 8 * p.random.randrange(8):#x}]"]
    return [f"{p.random.choice(('xadd', 'cmpxchg'))} {p.either(width)}, {p.register(width)}"]


def _condition(p: Programs) -> list[str]:
    condition, width = p.random.choice(CONDITIONS), p.width(32, 16)
    if p.random.random() < 0.3:
        return [f"set{condition} {p.either(8)}"]
    if p.random.random() < 0.4:
        return [f"cmov{condition} {p.register(width)}, {p.either(width)}"]
    over = p.label()
    return [f"j{condition} {over}", *p.random.choice(KINDS)(p), f"{over}:"]


def _loop(p: Programs) -> list[str]:
    again, counter = p.label(), p.random.choice(("ecx", "cx"))
    body = p.random.choice(("dec bl", "add dl, 17", "cmp esi, edi", "sub bh, bl", "xadd dl, bh", "nop"))
    small = "addr16 " if counter == "cx" else ""
    loop = p.random.choice(("loop", "loope", "loopne"))
    return [f"mov {counter}, {p.random.choice((1, 1, 2, 3, 5))}", f"{again}: {body}", f"{small}{loop} {again}"]


def _counter_zero(p: Programs) -> list[str]:
    over = p.label()
    jump = p.random.choice(("jecxz", "jcxz"))
    return [f"mov ecx, {p.random.choice((0, 1, 0x10000))}", f"{jump} {over}", "not dl", f"{over}:"]


def _string(p: Programs) -> list[str]:
    operation = p.random.choice(("movs", "stos", "lods", "scas", "cmps"))
    repeat = p.random.choice(("", "repe ", "repne ") if operation in ("scas", "cmps") else ("", "rep "))
    source, to = (DATA + at + p.random.randrange(32) for at in (96, 160))
    begin = [f"mov esi, {source:#x}", f"mov edi, {to:#x}", f"mov ecx, {p.random.choice((0, 1, 2, 3, 7))}"]
    return [*begin, p.random.choice(("cld", "std")), f"{repeat}{operation}{SUFFIX[p.width()]}"]


def _decimal(p: Programs) -> list[str]:
    operation = p.random.choice(tuple(DECIMAL))
    return [operation, *_defined(DECIMAL[operation])]


def _move(p: Programs) -> list[str]:
    width = p.width()
    a, b = p.register(32), p.register(32)
    return p.random.choice(
        (
            [f"push {a}", f"pop {b}"], ["pushf", f"pop {a}"], [f"xchg {a}, {b}"], [f"bswap {a}"], ["pusha", "popa"],
            [f"movzx {a}, {p.register(8)}"], [f"movsx {a}, {p.either(16)}"], [f"lea {a}, [{a} + {b} * 4 + 5]"],
            [f"mov {p.register(width)}, {p.either(width)}"], [f"enter 16, {p.random.randrange(2)}", "leave"],
            ["cbw"], ["cwde"], ["cwd"], ["cdq"], ["lahf"], ["sahf"], ["cmc"], ["stc"], ["clc"],
        )
    )  # fmt: skip


KINDS: Final[tuple[Callable[[Programs], list[str]], ...]] = (
    *(_arithmetic,) * 5, *(_logic,) * 2, *(_single,) * 2, *(_shift,) * 3, _double_shift, _bits, *(_multiply,) * 2,
    _exchange, *(_condition,) * 4, *(_loop,) * 3, _counter_zero, *(_string,) * 3, _decimal, *(_move,) * 2,
)  # fmt: skip
