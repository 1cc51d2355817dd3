# SPDX-License-Identifier: GPL-2.0-or-later
"""The one language in which a user says which port accesses are meant. docs/trace.md describes it for users.

    port 3f8-3ff write value==0x41 cpl==3
    device uart16550 (read or write value&0x80==0) not from serial_in

    filter  = either
    either  = both { "or" both }
    both    = one { ["and"] one }                     words beside each other must all hold
    one     = ("not" | "!") one | "(" either ")" | test
    test    = "read" | "in" | "write" | "out"
            | "port" PORTS { "," PORTS }              hexadecimal, with or without 0x: 80, 3f8-3ff
            | "memory" ADDRESSES { "," ADDRESSES }    of device memory, hexadecimal likewise
            | "device" NAME { "," NAME }              * and ? stand for any text and any character
            | "path" NAME { "," NAME }                trap, exit, hypercall, posted, shadow
            | "from" CODE { "," CODE }                a function, * and ?; or addresses: 0x1000-0x1fff
            | FIELD ["&" NUMBER] COMPARE NUMBER       value, size, count, cpl, cs, eip; decimal, or 0x, 0b, 0o
    COMPARE = "==" | "=" | "!=" | "<" | "<=" | ">" | ">="

A test of value holds if it holds for one element of a string; tests of cpl, cs, eip and from hold for no access without
a place. parse() makes a tree of tests; compile_filter() turns it into the flat table of filter_program.pyx, once, for
the devices and symbols that there are. Raises UsageError: one line with the column, counted from 1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from hyperport.bus.access import Direction
from hyperport.bus.port_bus import Path
from hyperport.errors import UsageError
from hyperport.observe.filter_program import MOST_ROWS, Field, FilterProgram, Verdict
from hyperport.options import PORTS

TOKEN: Final = re.compile(r"\s*(?:(?P<word>[\w.*?$@-]+)|(?P<mark>==|!=|<=|>=|[=<>!(),&]))")
DEEPEST: Final = 64  # parentheses and nots in each other
WORDS_MASK: Final = 0xFFFF_FFFF_FFFF_FFFF
TOP: Final = 0xFFFF_FFFF
DIRECTIONS: Final = {"read": Direction.IN, "in": Direction.IN, "write": Direction.OUT, "out": Direction.OUT}
NUMBERS: Final = {
    "value": Field.VALUE,
    "size": Field.SIZE,
    "count": Field.COUNT,
    "cpl": Field.CPL,
    "cs": Field.CS,
    "eip": Field.EIP,
}
COMPARES: Final[dict[str, Callable[[int], tuple[int, int, bool]]]] = {  # -> low, high, outside
    "==": lambda n: (n, n, False),
    "=": lambda n: (n, n, False),
    "!=": lambda n: (n, n, True),
    "<": lambda n: (n, WORDS_MASK, True),
    "<=": lambda n: (0, n, False),
    ">": lambda n: (0, n, True),
    ">=": lambda n: (n, WORDS_MASK, False),
}
CONNECTORS: Final = ("or", "and", "not")
MARKS: Final = ("!", "(", ")", ",", "&", *COMPARES)

Range = tuple[int, int]
Windows = Sequence[tuple[int, int, str]]
Functions = Callable[[str], Sequence[Range]]  # of a name with * and ?: first and last address of each that has it


@dataclass(frozen=True, slots=True)
class Test:
    """A field under a mask lies in a range, or outside it."""

    field: Field
    low: int
    high: int
    outside: bool = False
    mask: int = WORDS_MASK


@dataclass(frozen=True, slots=True)
class Names:
    """A test whose names need to be looked up: kind is device, path or from; at: where each name stands."""

    kind: str
    names: tuple[str, ...]
    at: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """What does not hold."""

    of: Node


@dataclass(frozen=True, slots=True)
class All:
    """Each of these."""

    of: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Any:
    """One of these at least."""

    of: tuple[Node, ...]


Node = Test | Names | Not | All | Any


def parse(text: str) -> Node:
    """The tree of a text; of an empty one, All of nothing."""
    return _Parser(text).whole()


def compile_filter(
    text: str, windows: Windows = (), functions: Functions | None = None, memory: Windows = ()
) -> FilterProgram:
    """The program for one machine. windows: rows of PortBus.map(), memory: of memory_map(), as they are now.

    functions: who knows the names behind from.
    """
    rows: list[tuple[int, int, int, int, bool, int, int]] = []

    def row(test: Test, yes: int, no: int) -> int:
        if len(rows) == MOST_ROWS:
            raise UsageError(f"filter: it needs more than {MOST_ROWS} tests: use fewer names or ranges")
        rows.append((test.field, test.mask, test.low, test.high, test.outside, yes, no))
        return len(rows) - 1

    def entry(node: Node, yes: int, no: int) -> int:
        match node:
            case Test():
                return row(node, yes, no)
            case Not():
                return entry(node.of, no, yes)
            case All():
                for each in reversed(node.of):
                    yes = entry(each, yes, no)
                return yes
            case Any():
                for each in reversed(node.of):
                    no = entry(each, yes, no)
                return no
            case Names():
                return entry(Any(tuple(_looked_up(text, node, windows, functions, memory))), yes, no)

    first = entry(parse(text), Verdict.TAKE, Verdict.LEAVE)
    return FilterProgram(rows, first, text)


def _looked_up(
    text: str, names: Names, windows: Windows, functions: Functions | None, memory: Windows
) -> Iterable[Test]:
    """The tests that names stand for."""
    for name, at in zip(names.names, names.at, strict=True):
        if names.kind == "path":
            found = [path for path in Path if path.name.lower() == name]
            if not found:
                raise _error(text, at, f"there is no path {name!r}: {', '.join(path.name.lower() for path in Path)}")
            yield Test(Field.PATH, found[0], found[0])
        elif names.kind == "device":
            spans, addresses = (
                [(first, last) for first, last, device in rows if fnmatchcase(device, name)]
                for rows in (windows, memory)
            )
            if not spans and not addresses:
                known = ", ".join(sorted({device for *_, device in (*windows, *memory)})) or "none"
                raise _error(text, at, f"there is no device {name!r}; this machine has {known}")
            yield from (Test(Field.PORT, first, last) for first, last in _joined(spans))
            yield from (Test(Field.MEMORY, first, last) for first, last in _joined(addresses))
        elif name[0].isdigit():
            yield Test(Field.EIP, *_span(text, at, name, 0, TOP, "address"))
        else:
            if functions is None:
                raise _error(text, at, f"{name!r} needs symbols: add --symbols FILE, or write addresses")
            spans = list(functions(name))
            if not spans:
                raise _error(text, at, f"there is no function {name!r} in the symbols")
            yield from (Test(Field.EIP, first, last) for first, last in _joined(spans))


def _joined(spans: Iterable[Range]) -> list[Range]:
    """The same numbers in as few ranges as can be."""
    joined: list[Range] = []
    for first, last in sorted(spans):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return joined


def _error(text: str, at: int, what: str) -> UsageError:
    return UsageError(f"filter: column {at + 1} of {text!r}: {what}")


def _number(text: str, at: int, word: str, base: int, top: int, what: str) -> int:
    try:
        number = int(word, base)
    except ValueError:
        number = -1
    if not 0 <= number <= top:
        raise _error(text, at, f"{word!r} is no {what}: write 0 to {top:#x}")
    return number


def _span(text: str, at: int, word: str, base: int, top: int, what: str) -> Range:
    """The numbers of 80 or of 3f8-3ff."""
    first, dash, last = word.partition("-")
    low = _number(text, at, first, base, top, what)
    high = _number(text, at + len(first) + 1, last, base, top, what) if dash else low
    if high < low:
        raise _error(text, at, f"{word!r} ends before it begins")
    return low, high


class _Parser:
    """Recursive descent over the words of a text. at: where each begins."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.words: list[str] = []
        self.at: list[int] = []
        self.next = self.depth = 0
        place, end = 0, len(text.rstrip())
        while place < end:
            found = TOKEN.match(text, place)
            if found is None:
                place += len(text[place:]) - len(text[place:].lstrip())
                raise self.error(place, f"{text[place]!r} has no meaning here")
            group = found.lastgroup or ""
            self.words.append(found[group])
            self.at.append(found.start(group))
            place = found.end()
        self.at.append(end)

    def error(self, at: int, what: str) -> UsageError:
        return _error(self.text, at, what)

    def here(self) -> str:
        """The word at hand; "" behind the last."""
        return self.words[self.next] if self.next < len(self.words) else ""

    def took(self, *words: str) -> str:
        """The word at hand if it is one of these, which is then used up; else ""."""
        word = self.here()
        if word in words and word:
            self.next += 1
            return word
        return ""

    def wanted(self, what: str) -> str:
        """The word at hand, which is used up. what: it should be."""
        word = self.here()
        if not word or word in MARKS:
            raise self.error(self.at[self.next], f"{what} is missing" + (f" before {word!r}" if word else ""))
        self.next += 1
        return word

    def whole(self) -> Node:
        if not self.words:
            return All(())
        node = self.either()
        if self.here():
            raise self.error(self.at[self.next], f"{self.here()!r} has no meaning here")
        return node

    def either(self) -> Node:
        parts = [self.both()]
        while self.took("or"):
            parts.append(self.both())
        return parts[0] if len(parts) == 1 else Any(tuple(parts))

    def both(self) -> Node:
        parts = [self.one()]
        while self.took("and") or self.here() not in ("", "or", ")"):
            parts.append(self.one())
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def one(self) -> Node:
        self.depth += 1
        if self.depth > DEEPEST:
            raise self.error(self.at[self.next], f"more than {DEEPEST} nots and parentheses in each other")
        node: Node
        opened = self.at[self.next]
        if self.took("not", "!"):
            node = Not(self.one())
        elif self.took("("):
            node = self.either()
            if not self.took(")"):
                raise self.error(opened, "this parenthesis is not closed")
        else:
            node = self.test()
        self.depth -= 1
        return node

    def test(self) -> Node:
        at, word = self.at[self.next], self.here()
        if word in DIRECTIONS:
            self.next += 1
            return Test(Field.DIRECTION, DIRECTIONS[word], DIRECTIONS[word])
        if word == "port":
            spans = [_span(self.text, place, name, 16, PORTS - 1, "port") for name, place in self.list_of("a port")]
            return Any(tuple(Test(Field.PORT, low, high) for low, high in spans))
        if word == "memory":
            spans = [_span(self.text, place, name, 16, TOP, "address") for name, place in self.list_of("an address")]
            return Any(tuple(Test(Field.MEMORY, low, high) for low, high in spans))
        if word in ("device", "path", "from"):
            names = self.list_of("a function or an address" if word == "from" else f"the name of a {word}")
            return Names(word, tuple(name for name, _ in names), tuple(place for _, place in names))
        if word in NUMBERS:
            return self.comparison()
        if not word or word in CONNECTORS or word in MARKS:
            raise self.error(at, "a test is missing" + (f" before {word!r}" if word else " at the end"))
        known = ("read", "write", "port", "memory", "device", "path", "from", *NUMBERS)
        raise self.error(at, f"{word!r} is no test; tests are {', '.join(known)}")

    def list_of(self, what: str) -> list[tuple[str, int]]:
        """Names with commas between, and where each stands."""
        found = []
        self.next += 1
        while True:
            at = self.at[self.next]
            found.append((self.wanted(what), at))
            if not self.took(","):
                return found

    def comparison(self) -> Test:
        name = self.here()
        self.next += 1
        mask = WORDS_MASK
        if self.took("&"):
            mask = self.number()
        at = self.at[self.next]
        compare = self.took(*COMPARES)
        if not compare:
            raise self.error(at, f"{name} is compared with something: write {name}==0x41, or !=, <, <=, >, >=")
        low, high, outside = COMPARES[compare](self.number())
        return Test(NUMBERS[name], low, high, outside, mask)

    def number(self) -> int:
        at = self.at[self.next]
        return _number(self.text, at, self.wanted("a number"), 0, TOP, "number")
