# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperport.ui.escape import Command, EscapeScanner, help_text, key_name


def scan(key: int, chunks: list[bytes]) -> tuple[bytes, list[Command]]:
    scanner, guest, commands = EscapeScanner(key), b"", []
    for chunk in chunks:
        rest = chunk
        while rest:
            text, command, rest = scanner.split(rest)
            guest += text
            if command:
                commands.append(command)
    return guest, commands


@pytest.mark.parametrize(
    ("typed", "guest", "commands"),
    [
        (b"ls\r", b"ls\r", []),
        (b"a\x01xb", b"ab", [Command.QUIT]),
        (b"\x01h\x01c", b"", [Command.HELP, Command.MONITOR]),
        (b"\x01\x01", b"\x01", []),
        (b"\x01a", b"\x01", []),
        (b"\x01zq", b"q", []),
        (b"\x03\x04\x1a", b"\x03\x04\x1a", []),
    ],
)
def test_keys_after_the_escape_key(typed: bytes, guest: bytes, commands: list[Command]) -> None:
    assert scan(1, [typed]) == (guest, commands)


@given(st.lists(st.sampled_from([b"\x01", b"x", b"h", b"a", b"k", b"\x02"]), max_size=30), st.data())
def test_how_reads_are_cut_makes_no_difference(keys: list[bytes], data: st.DataObject) -> None:
    typed = b"".join(keys)
    cut = data.draw(st.integers(0, len(typed)))
    assert scan(1, [typed[:cut], typed[cut:]]) == scan(1, [typed])


@given(st.binary(max_size=50))
def test_doubled_escape_keys_carry_any_byte(text: bytes) -> None:
    assert scan(2, [text.replace(b"\x02", b"\x02\x02")]) == (text, [])


def test_help_names_the_chosen_key() -> None:
    assert key_name(2) == "Ctrl-b"
    assert key_name(0x1D) == "Ctrl-]"
    assert "Ctrl-b x" in help_text(2)
