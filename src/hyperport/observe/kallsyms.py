# SPDX-License-Identifier: GPL-2.0-or-later
"""The function names of a Linux that runs in a guest, from the guest's RAM: the kernel's own kallsyms tables.

Source: Linux, scripts/kallsyms.c and kernel/kallsyms.c. A 32-bit kernel with CONFIG_KALLSYMS has, side by side in its
read-only data and each aligned to 4,

    names         for each symbol its length (of 128 and more in two bytes), and as many bytes, each of which is a
                  token; the tokens together are a letter for the type, and the name
    markers       u32 for every 256th symbol: its offset in names
    token_table   256 texts with a 0 behind each; a digit that stands for no longer text stands for itself
    token_index   u16 for each of them: its offset in token_table

and, before num_syms (until Linux 6.3) or behind token_index (from 6.4 on), offsets (u32 for each symbol) and
relative_base (u32). Linux 6.2 and later have seqs_of_names, of 3 bytes a symbol, between markers and token_table, or
last. num_syms (u32) stands directly before names.

Nothing says where that is. The token table is found by its ten digits, which stand in their order; then each table is
looked for beside it, and is only believed if it agrees with the others, number by number. So what is not whole, or is
no such table, is no symbols; a guest that makes one up can give its own functions any names, and nothing else. Modules
have their own tables, which are not read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from itertools import accumulate, islice, pairwise
from typing import Final, Protocol

from hyperport.observe.symbols import CODE_TYPES, LAST_LENGTH, TOP, Symbols

TOKENS: Final = 256
DIGITS: Final = b"".join(b"%d\0" % digit for digit in range(10))
FIRST_DIGIT: Final = 0x30
MOST_TABLE: Final = 16 << 10  # bytes of token_table; real ones have about 1,000
MARKED: Final = 256  # symbols from one marker to the next
MOST_SYMBOLS: Final = 1 << 20
FEWEST_SYMBOLS: Final = 1000  # a smaller kernel has no room for what we look for
MOST_NAMES: Final = 64 << 20
SEQUENCE: Final = 3  # bytes of an entry of seqs_of_names
SLACK: Final = 8  # bytes between two tables, for their alignment
CHUNK: Final = 16 << 20
MOST_TRIES: Final = 64  # of each kind: a guest may lay out whatever it likes
MOST_TABLES: Final = 4
MOST_LOOKS: Final = 4096
KERNEL: Final = 0x8000_0000  # a 32-bit kernel is linked above that


class Memory(Protocol):
    """What is needed of GuestMemory."""

    size: int

    def read(self, address: int, length: int) -> bytes:
        """Bytes of RAM."""


def running_symbols(memory: Memory) -> Symbols | None:
    """The functions of the Linux in memory; None where there is none, or it has no tables that can be read."""
    tried = 0
    for at in islice(_digits(memory), MOST_TRIES):
        first = max(at - MOST_TABLE, 0) & ~3
        if _token_table(memory.read(first, min(2 * MOST_TABLE, memory.size - first)), at - first) is None:
            continue
        tried += 1
        first = max(at - MOST_NAMES, 0) & ~3
        found = _tables(memory.read(first, min(2 * MOST_NAMES, memory.size - first)), at - first)
        if found is not None or tried == MOST_TABLES:
            return found
    return None


def _digits(memory: Memory) -> Iterator[int]:
    """Where ten digits stand in their order."""
    for start in range(0, memory.size, CHUNK):
        chunk = memory.read(start, min(CHUNK + len(DIGITS), memory.size - start))
        at = chunk.find(DIGITS)
        while at >= 0:
            yield start + at
            at = chunk.find(DIGITS, at + 1)


def _tables(data: bytes, digits: int) -> Symbols | None:
    """All of it, from where the digits of a token table are."""
    found = _token_table(data, digits)
    if found is None:
        return None
    start, tokens, index_end = found
    for markers_at, markers in islice(_markers(data, start), MOST_TRIES):
        names = _names(data, markers_at, markers)
        if names is None:
            continue
        names_at, lengths = names
        addresses = _addresses(data, names_at, index_end, len(lengths))
        if addresses is not None:
            return _symbols(data, names_at, lengths, tokens, addresses)
    return None


def _token_table(data: bytes, digits: int) -> tuple[int, list[bytes], int] | None:
    """Where the table begins, its texts, and the end of its index."""
    low = max(digits - MOST_TABLE, 0)
    ends = [at for at in range(digits - 1, low, -1) if data[at] == 0][: FIRST_DIGIT + 1]
    # The text before the first digit is token 2Fh; the first token begins where the table is aligned.
    for start in range((digits - FIRST_DIGIT) & ~3, max(low, digits - MOST_TABLE), -4):
        if len(ends) < FIRST_DIGIT or start <= ends[-1] - MOST_TABLE:
            return None
        texts = data[start : start + MOST_TABLE].split(b"\0", TOKENS)[:TOKENS]
        if len(texts) < TOKENS or data[start:digits].count(0) != FIRST_DIGIT:
            continue
        index = [0, *accumulate(len(text) + 1 for text in texts)][:TOKENS]
        wanted = struct.pack(f"<{TOKENS}H", *index) if index[-1] < 1 << 16 else b"?"
        behind = start + index[-1] + len(texts[-1]) + 1
        at = data.find(wanted, behind, behind + len(wanted) + SLACK)
        if at >= 0:
            return start, texts, at + len(wanted)
    return None


def _markers(data: bytes, table: int) -> Iterator[tuple[int, list[int]]]:
    """Candidates for the markers that end before table, or before a seqs_of_names that does: where, and the numbers."""
    ends = list(range(table & ~3, max(table - SLACK, 0), -4))
    for end in ends:
        values = _falling(data, end)
        if values is not None:
            yield end - 4 * len(values), values
    # seqs_of_names has 3 bytes for each symbol, of whose number the markers tell all but the last 8 bits.
    looked = 0
    for number in range(FEWEST_SYMBOLS, MOST_SYMBOLS):
        end = (table - SEQUENCE * number) & ~3
        if end < 4:
            return
        count = -(-number // MARKED)
        first = end - 4 * count
        if first >= 0 and data[first : first + 4] == b"\0\0\0\0":
            looked += 1
            if looked > MOST_LOOKS:
                return
            values = _falling(data, end)
            if values is not None and len(values) == count:
                yield first, values


def _falling(data: bytes, end: int) -> list[int] | None:
    """The numbers that rise from 0 to the one before end, each by what 256 names can take; None if there are none."""
    values: list[int] = []
    at = end - 4
    above = MOST_NAMES
    while at >= 0:
        value = int.from_bytes(data[at : at + 4], "little")
        if not value < above or (values and above - value > MARKED * MARKED):
            return None
        values.append(value)
        if value == 0:
            return values[::-1] if len(values) > FEWEST_SYMBOLS // MARKED else None
        above, at = value, at - 4
    return None


def _names(data: bytes, markers_at: int, markers: Sequence[int]) -> tuple[int, list[int]] | None:
    """Where the names begin, and the offset of each from there, with the end as the last."""
    highest, tries = markers_at - markers[-1], 0
    for start in range(highest & ~3, max(highest - MARKED * MARKED, 3), -4):
        number = int.from_bytes(data[start - 4 : start], "little")
        if -(-number // MARKED) != len(markers):
            continue
        tries += 1
        if tries > MOST_TRIES:
            return None
        offsets = _walk(data, start, number, markers)
        if offsets is not None and 0 <= markers_at - start - offsets[-1] < SLACK:
            return start, offsets
    return None


def _walk(data: bytes, start: int, number: int, markers: Sequence[int]) -> list[int] | None:
    """The offsets of so many names; None where a marker does not agree."""
    offsets = []
    at = start
    for symbol in range(number):
        if symbol % MARKED == 0 and at - start != markers[symbol // MARKED]:
            return None
        offsets.append(at - start)
        length = data[at]
        at += 1
        if length & 0x80:
            length = length & 0x7F | data[at] << 7
            at += 1
        at += length
        if at >= len(data):
            return None
    return [*offsets, at - start]


def _addresses(data: bytes, names_at: int, index_end: int, number: int) -> list[int] | None:
    """The address of each name: offsets and their base stand before num_syms, or behind token_index."""
    count = number - 1
    size = 4 * count
    before = names_at - 4  # num_syms
    for offsets_at, base_at in ((before - 4 - size, before - 4), (index_end, index_end + size)):
        for slack in range(0, SLACK, 4):
            first, last = (
                (offsets_at - slack, base_at - slack) if base_at < names_at else (offsets_at + slack, base_at + slack)
            )
            if first < 0 or last + 4 > len(data):
                continue
            (base,) = struct.unpack_from("<I", data, last)
            offsets = struct.unpack_from(f"<{count}I", data, first)
            if offsets[0] < offsets[-1] < TOP - base <= KERNEL and all(
                one <= other for one, other in pairwise(offsets)
            ):
                return [base + offset for offset in offsets]
    return None


def _symbols(
    data: bytes, names_at: int, offsets: Sequence[int], tokens: Sequence[bytes], addresses: Sequence[int]
) -> Symbols | None:
    """The symbols that are code."""
    rows = []
    begins = sorted(set(addresses))
    following = dict(pairwise([*begins, begins[-1] + LAST_LENGTH]))
    for address, (begin, end) in zip(addresses, pairwise(offsets), strict=True):
        skipped = 2 if data[names_at + begin] & 0x80 else 1
        text = b"".join(tokens[token] for token in data[names_at + begin + skipped : names_at + end])
        if text[:1] in CODE_TYPES and len(text) > 1:
            rows.append((address, not text[:1].isupper(), following[address] - 1, text[1:].decode("utf-8", "replace")))
    return Symbols((address, last, name) for address, _, last, name in sorted(rows)) if rows else None
