# SPDX-License-Identifier: GPL-2.0-or-later
"""The host's hands on the guest's PS/2 keyboard: text as key strokes of a US keyboard, in scan codes of set 2.

Codes: Microsoft, Keyboard Scan Code Specification, table of set 2. Strokes wait in the ring of a CharBackend, which the
i8042 empties as fast as the guest reads, and no faster than a PS/2 cable is. So none is lost, and the guest is not
flooded. Any thread may type.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Final

from hyperport.errors import AccessError
from hyperport.host.char import CharBackend

RELEASE: Final = 0xF0
EXTENDED: Final = 0xE0  # comes before the code, in a release before RELEASE

# The rows of a US keyboard, each key by its character without shift.
ROWS: Final = (
    ("`1234567890-=", "0e 16 1e 26 25 2e 36 3d 3e 46 45 4e 55"),
    ("qwertyuiop[]\\", "15 1d 24 2d 2c 35 3c 43 44 4d 54 5b 5d"),
    ("asdfghjkl;'", "1c 1b 23 2b 34 33 3b 42 4b 4c 52"),
    ("zxcvbnm,./", "1a 22 21 2a 32 31 3a 41 49 4a"),
    (" ", "29"),
)
NAMED_ROWS: Final = (
    (("escape", "backspace", "tab", "enter", "space", "shift", "ctrl", "alt"), "76 66 0d 5a 29 12 14 11"),
    (tuple(f"f{number}" for number in range(1, 13)), "05 06 04 0c 03 0b 83 0a 01 09 78 07"),
)
EXTENDED_ROWS: Final = (
    (("up", "down", "left", "right", "home", "end", "pageup", "pagedown"), "75 72 6b 74 6c 69 7d 7a"),
    (("insert", "delete"), "70 71"),
)


def _table(rows: Iterable[tuple[Iterable[str], str]], prefix: int = 0) -> dict[str, int]:
    return {key: prefix | code for keys, codes in rows for key, code in zip(keys, bytes.fromhex(codes), strict=True)}


NAMED: Final = _table(NAMED_ROWS) | _table(EXTENDED_ROWS, EXTENDED << 8)
KEYS: Final = _table(ROWS) | NAMED
SHIFTED: Final = dict(zip('~!@#$%^&*()_+{}|:"<>?', "`1234567890-=[]\\;',./", strict=True))
CONTROLS: Final = {"\n": "enter", "\r": "enter", "\t": "tab", "\b": "backspace", "\x7f": "backspace", "\x1b": "escape"}


def keys_for(character: str) -> tuple[str, ...]:
    """The keys to press together for a character, the modifier first. Raises AccessError if a US keyboard has none."""
    if character in CONTROLS:
        return (CONTROLS[character],)
    if character in SHIFTED:
        return ("shift", SHIFTED[character])
    if "A" <= character <= "Z":
        return ("shift", character.lower())
    if len(character) == 1 and character in KEYS:
        return (character,)
    if len(character) == 1 and 1 <= ord(character) <= 26:
        return ("ctrl", chr(ord(character) | 0x60))
    raise AccessError(f"keyboard: {character!r} is not on a US keyboard; type ASCII, newlines and control characters")


def stroke(*names: str) -> bytes:
    """Scan codes for pressing keys in that order and letting them go in the other. Raises AccessError."""
    for name in names:
        if name not in KEYS:
            raise AccessError(f"keyboard: no key {name!r}; keys are single characters and {', '.join(NAMED)}")
    codes = [KEYS[name] for name in names]
    down = b"".join(_bytes(code) for code in codes)
    return down + b"".join(_bytes(code, released=True) for code in reversed(codes))


def _bytes(code: int, *, released: bool = False) -> bytes:
    prefix = [EXTENDED] if code > 0xFF else []
    return bytes([*prefix, *([RELEASE] if released else []), code & 0xFF])


class Keyboard:
    """Types. ring: what the i8042 takes its scan codes from."""

    def __init__(self, ring: CharBackend) -> None:
        self.ring = ring
        self.lock = threading.Lock()

    def type(self, text: str) -> int:
        """Type text; returns how many characters found room to wait (about ten thousand do): type the rest later.

        Raises AccessError, and types nothing, for a character that a US keyboard does not have.
        """
        strokes = [stroke(*keys_for(character)) for character in text]
        with self.lock:
            return next((n for n, codes in enumerate(strokes) if not self._feed(codes)), len(strokes))

    def press(self, *names: str) -> bool:
        """Press keys together and let them go, as press("ctrl", "alt", "delete"); False if there is no room."""
        codes = stroke(*names)
        with self.lock:
            return self._feed(codes)

    def room(self) -> int:
        """How many bytes of scan codes would find room."""
        return self.ring.room()

    def _feed(self, codes: bytes) -> bool:
        if self.ring.room() < len(codes):
            return False
        self.ring.feed(codes)
        return True
