# SPDX-License-Identifier: GPL-2.0-or-later
"""The console's escape key: what the user types for the VMM, told apart from what is for the guest."""

from __future__ import annotations

from enum import Enum
from typing import Final


class Command(Enum):
    """What may follow the escape key. value: the key, and what it does, for the help text."""

    QUIT = ("x", "end the guest and leave")
    HELP = ("h", "show this help")
    MONITOR = ("c", "hold the guest and open the monitor")


COMMANDS: Final = {ord(command.value[0]): command for command in Command}
LITERAL: Final = ord("a")


def key_name(key: int) -> str:
    """Ctrl-a for 1, and so on."""
    return f"Ctrl-{chr(key | 0x60 if key <= 26 else key | 0x40)}"


def help_text(key: int) -> str:
    """The keys, one a line."""
    name = key_name(key)
    rows = [(f"{name} {letter}", text) for letter, text in (command.value for command in Command)]
    rows.append((f"{name} {name}", f"send {name} to the guest ({name} a does too)"))
    return "".join(f"  {keys:<16}{text}\n" for keys, text in rows)


class EscapeScanner:
    """Cuts typed bytes at commands. It remembers an escape key at the end of one read for the next.

    An unknown key after the escape key is dropped together with it.
    """

    def __init__(self, key: int) -> None:
        self.key = key
        self.escaped = False

    def split(self, data: bytes) -> tuple[bytes, Command | None, bytes]:
        """(bytes for the guest, the command behind them or None, what follows the command and is not scanned yet)."""
        guest = bytearray()
        for index, byte in enumerate(data):
            if not self.escaped:
                if byte == self.key:
                    self.escaped = True
                else:
                    guest.append(byte)
                continue
            self.escaped = False
            if byte in COMMANDS:
                return bytes(guest), COMMANDS[byte], data[index + 1 :]
            if byte in (self.key, LITERAL):
                guest.append(self.key)
        return bytes(guest), None, b""
