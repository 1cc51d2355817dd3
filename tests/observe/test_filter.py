# SPDX-License-Identifier: GPL-2.0-or-later
"""The filter language beside a plain evaluator of what its words say, and its messages."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperport.bus.access import Direction, Place, PortAccess, Space
from hyperport.bus.port_bus import Path
from hyperport.errors import AccessError, UsageError
from hyperport.observe.filter import MARKS, compile_filter
from hyperport.observe.filter_program import MOST_ROWS, FilterProgram, Verdict

WINDOWS = [(0x80, 0x80, "post-code"), (0x2F8, 0x2FF, "uart16550"), (0x3F8, 0x3FF, "uart16550"), (0xCF8, 0xCFF, "pci")]
MEMORY = [(0xD_0000, 0xD_0FFF, "card"), (0xF000_0000, 0xFFFF_FFFF, "canvas")]
FUNCTIONS = {"serial_in": (0xC010_0000, 0xC010_001F), "serial_out": (0xC010_0020, 0xC010_0040), "main": (0, 0xFFF)}

Holds = Callable[[PortAccess], bool]
Said = tuple[str, Holds]  # a text, and whether it holds for an access


def functions(name: str) -> list[tuple[int, int]]:
    return [span for known, span in FUNCTIONS.items() if fnmatchcase(known, name)]


def elements(access: PortAccess) -> list[int]:
    return [
        int.from_bytes(access.data[at : at + access.size], "little") for at in range(0, len(access.data), access.size)
    ]


def at_place(access: PortAccess, of: Callable[[Place], bool]) -> bool:
    return access.place is not None and of(access.place)


COMPARES: dict[str, Callable[[int, int], bool]] = {
    "==": lambda a, b: a == b,
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}
NUMBERS: dict[str, Callable[[PortAccess], list[int]]] = {
    "value": elements,
    "size": lambda access: [access.size],
    "count": lambda access: [access.count],
    "cpl": lambda access: [] if access.place is None else [access.place.cpl],
    "cs": lambda access: [] if access.place is None else [access.place.cs],
    "eip": lambda access: [] if access.place is None else [access.place.eip],
}

SOME_PORTS = st.sampled_from([0x80, 0x2F8, 0x3F8, 0x3FD, 0xCF8, 0xFFFF])
SOME_ADDRESSES = st.sampled_from([0x80, 0x3F8, 0xD_0000, 0xD_0FFF, 0xD_1000, 0xF000_0000, 0xFFFF_FFFF])
SOME_NUMBERS = st.one_of(st.sampled_from([0, 1, 2, 3, 4, 0x41, 0x60, 0xC010_0020]), st.integers(0, 0xFFFF_FFFF))


def comparison(name: str, compare: str, number: int, mask: int | None) -> Said:
    under = "" if mask is None else f"&{mask:#x}"

    def hold(access: PortAccess) -> bool:
        return any(
            COMPARES[compare](value if mask is None else value & mask, number) for value in NUMBERS[name](access)
        )

    return f"{name}{under}{compare}{number:#x}", hold


def ports(spans: list[tuple[int, int]]) -> Said:
    spans = [(min(span), max(span)) for span in spans]
    text = ",".join(f"{low:x}-{high:x}" if high > low else f"{low:#x}" for low, high in spans)
    return (
        f"port {text}",
        lambda access: access.space == Space.PORT and any(low <= access.port <= high for low, high in spans),
    )


def memory(low: int, more: int) -> Said:
    high = min(low + more, 0xFFFF_FFFF)
    return f"memory {low:x}-{high:#x}", lambda access: access.space == Space.MEMORY and low <= access.port <= high


def devices(pattern: str) -> Said:
    return f"device {pattern}", lambda access: any(
        low <= access.port <= high and fnmatchcase(name, pattern)
        for low, high, name in (WINDOWS if access.space == Space.PORT else MEMORY)
    )


def code(name: str) -> Said:
    return f"from {name}", lambda access: at_place(
        access, lambda place: any(low <= place.eip <= high for low, high in functions(name))
    )


TESTS: st.SearchStrategy[Said] = st.one_of(
    st.sampled_from(["read", "in"]).map(lambda word: (word, lambda access: access.direction == Direction.IN)),
    st.sampled_from(["write", "out"]).map(lambda word: (word, lambda access: access.direction == Direction.OUT)),
    st.lists(st.tuples(SOME_PORTS, SOME_PORTS), min_size=1, max_size=3).map(ports),
    st.sampled_from(list(Path)).map(lambda path: (f"path {path.name.lower()}", lambda access: access.path == path)),
    st.sampled_from(["uart16550", "pci", "*", "u?rt*", "card", "ca*"]).map(devices),
    st.builds(memory, st.sampled_from([0, 0x60, 0xD_0000, 0xF000_0000]), st.sampled_from([0, 0xFFF, 0xFFFF_FFFF])),
    st.sampled_from(["serial_in", "serial_*", "main"]).map(code),
    st.builds(
        comparison,
        st.sampled_from(list(NUMBERS)),
        st.sampled_from(list(COMPARES)),
        SOME_NUMBERS,
        st.one_of(st.none(), SOME_NUMBERS),
    ),
)


def both(parts: list[Said], word: str) -> Said:
    return word.join(f"({text})" for text, _ in parts), lambda access: all(hold(access) for _, hold in parts)


def either(parts: list[Said]) -> Said:
    return " or ".join(text for text, _ in parts), lambda access: any(hold(access) for _, hold in parts)


def negated(part: Said, word: str) -> Said:
    return f"{word}({part[0]})", lambda access: not part[1](access)


TREES: st.SearchStrategy[Said] = st.recursive(
    TESTS,
    lambda inner: st.one_of(
        st.builds(both, st.lists(inner, min_size=1, max_size=3), st.sampled_from([" ", " and "])),
        st.lists(inner, min_size=1, max_size=3).map(either),
        st.builds(negated, inner, st.sampled_from(["not ", "!", "not not not"])),
    ),
    max_leaves=12,
)

PLACES = st.one_of(
    st.none(),
    st.builds(
        Place,
        st.sampled_from([0x08, 0x10, 0x73]),
        st.sampled_from([0, 0x800, 0xC010_0000, 0xC010_001F, 0xC010_0020, 0xFFFF_FFFF]),
        st.integers(0, 3),
        st.booleans(),
    ),
)


@st.composite
def accesses(draw: st.DrawFn) -> PortAccess:
    size = draw(st.sampled_from([1, 2, 4]))
    values = draw(st.lists(SOME_NUMBERS, min_size=1, max_size=4))
    data = b"".join((value & (1 << 8 * size) - 1).to_bytes(size, "little") for value in values)
    direction, path = draw(st.sampled_from(list(Direction))), draw(st.sampled_from(list(Path)))
    space = draw(st.sampled_from(list(Space)))
    port = draw(SOME_PORTS if space == Space.PORT else SOME_ADDRESSES)
    return PortAccess(direction, port, size, len(values), data, path, draw(PLACES), space)


@given(TREES, st.lists(accesses(), min_size=1, max_size=8))
def test_a_program_holds_for_what_its_words_say(said: Said, seen: list[PortAccess]) -> None:
    text, holds = said
    program = compile_filter(text, WINDOWS, functions, MEMORY)
    assert [program.takes(access) for access in seen] == [holds(access) for access in seen], text


ONE = PortAccess(Direction.OUT, 0x3F8, 1, 1, b"A", Path.EXIT, Place(0x73, 0xC010_0000, 3, True))


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("", True),
        ("  ", True),
        ("port 3f8-3ff write value==0x41 cpl==3 device uart16550 from serial_in", True),
        ("port 3f8-3ff write value==0x42 cpl==3 device uart16550 from serial_in", False),
        ("read or write port 80", False),  # and binds closer than or
        ("(read or write) port 3f8", True),
        ("not read", True),
        ("from 0xc0100000-0xc0100fff", True),
        ("from 0xc0100001", False),
    ],
)
def test_examples(text: str, taken: bool) -> None:
    assert compile_filter(text, WINDOWS, functions).takes(ONE) == taken


def test_a_place_that_is_not_there_is_nowhere() -> None:
    nowhere = PortAccess(Direction.OUT, 0x3F8, 1, 1, b"A", Path.EXIT)
    assert not compile_filter("cpl!=3").takes(nowhere)
    assert compile_filter("not cpl==3").takes(nowhere)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("port", "column 5 of 'port': a port is missing"),
        ("port 3f8-", "column 10 of 'port 3f8-': '' is no port"),
        ("read port 3ff-3f8", "column 11 .*: '3ff-3f8' ends before it begins"),
        ("port 10000", "column 6 .*: '10000' is no port: write 0 to 0xffff"),
        ("value", "column 6 .*: value is compared with something"),
        ("value==", "column 8 .*: a number is missing"),
        ("value==0x100000000", "column 8 .*: '0x100000000' is no number"),
        ("device foo", "column 8 .*: there is no device 'foo'; this machine has pci, post-code, uart16550"),
        ("path up", "column 6 .*: there is no path 'up': trap, exit"),
        ("from nobody", "column 6 .*: there is no function 'nobody'"),
        ("(read", "column 1 .*: this parenthesis is not closed"),
        ("read)", r"column 5 .*: '\)' has no meaning here"),
        ("read or", "column 8 .*: a test is missing at the end"),
        ("or read", "column 1 .*: a test is missing before 'or'"),
        ("write, read", "column 6 .*: a test is missing before ','"),
        ("prot 80", "column 1 .*: 'prot' is no test; tests are read, write, port"),
        ("read #", "column 6 .*: '#' has no meaning here"),
        ("(" * 100, "column 65 .*: more than 64 nots and parentheses"),
        (" or ".join(f"eip=={n}" for n in range(5000)), f"more than {MOST_ROWS} tests"),
    ],
)
def test_errors_are_one_line_with_the_column(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        compile_filter(text, WINDOWS, functions)
    assert "\n" not in str(caught.value)


def test_functions_need_symbols() -> None:
    with pytest.raises(UsageError, match="'main' needs symbols: add --symbols FILE"):
        compile_filter("from main")


WORDS = ("read", "write", "port", "80", "device", "*", "from", "main", "or", "and", "not", "value", "0x41", "\n", "é")


@given(st.lists(st.sampled_from([*WORDS, *MARKS]), max_size=12).map(" ".join))
def test_no_text_does_worse_than_a_usage_error(text: str) -> None:
    with suppress(UsageError):
        compile_filter(text, WINDOWS, functions).takes(ONE)


def test_a_program_goes_on_before_itself_only() -> None:
    with pytest.raises(AccessError, match="row 0 of a filter program"):
        FilterProgram([(0, 0, 0, 0, False, 0, Verdict.TAKE)], 0)
    with pytest.raises(AccessError, match="no filter program"):
        FilterProgram([], 5)
