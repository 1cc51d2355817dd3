# SPDX-License-Identifier: GPL-2.0-or-later
"""Raw sectors against the equations of ECMA-130, written out the slow way."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperport.devices.cd_sector import raw_sector
from hyperport.errors import AccessError


def product(a: int, b: int) -> int:
    """In GF(2^8) modulo x^8 + x^4 + x^3 + x^2 + 1, by school multiplication and division."""
    result = 0
    for bit in range(8):
        if b >> bit & 1:
            result ^= a << bit
    for bit in range(14, 7, -1):
        if result >> bit & 1:
            result ^= 0x11D << (bit - 8)
    return result


def is_codeword(word: bytes) -> bool:
    """The two rows of the parity check matrix: all ones, and powers of alpha that go up from 1 at the last byte."""
    plain = weighted = 0
    power = 1
    for byte in reversed(word):
        plain ^= byte
        weighted ^= product(byte, power)
        power = product(power, 2)
    return plain == weighted == 0


def remainder(data: bytes) -> int:
    """Of the bits of data, lowest bit of each byte first, by the EDC's polynomial."""
    polynomial = 0
    for a in (16, 15, 2, 0):
        for b in (16, 2, 1, 0):
            polynomial ^= 1 << (a + b)
    rest = 0
    for byte in data:
        for bit in range(8):
            rest = rest << 1 | byte >> bit & 1
            if rest >> 32:
                rest ^= polynomial
    return rest


@pytest.mark.parametrize("block", [0, 1, 75, 4349, 4350, 333_333])
def test_sector(block: int) -> None:
    user = random.Random(block).randbytes(2048)
    sector = raw_sector(block, user)
    assert len(sector) == 2352
    assert sector[:12] == b"\0" + b"\xff" * 10 + b"\0"
    minute, rest = divmod(block + 150, 75 * 60)
    assert sector[12:16].hex() == f"{minute:02}{rest // 75:02}{rest % 75:02}01"
    assert sector[16:2064] == user
    assert remainder(sector[:2068]) == 0
    assert sector[2068:2076] == bytes(8)
    for plane in (0, 1):
        body = sector[12 + plane :: 2]
        for column in range(43):
            assert is_codeword(body[column : 43 * 26 : 43]), "P: 24 bytes and 2 of parity"
        for diagonal in range(26):
            data = bytes(body[(44 * step + 43 * diagonal) % 1118] for step in range(43))
            assert is_codeword(data + bytes([body[1118 + diagonal], body[1144 + diagonal]])), "Q: 43 and 2"


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 400_000), st.integers(0, 255), st.sampled_from([0x10, 0x18, 0x20, 0x30, 0x38, 0x80, 0xA0, 0xB0]))
def test_parts_are_cut_from_the_whole(block: int, fill: int, parts: int) -> None:
    user = bytes([fill]) * 2048
    places = ((0x80, 0, 12), (0x20, 12, 16), (0x10, 16, 2064), (0x08, 2064, 2352))
    whole = raw_sector(block, user)
    assert raw_sector(block, user, parts) == b"".join(whole[start:end] for bit, start, end in places if parts & bit)


def test_user_data_has_one_size() -> None:
    with pytest.raises(AccessError, match="there are always 2048"):
        raw_sector(0, bytes(2047))
