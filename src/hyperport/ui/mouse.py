# SPDX-License-Identifier: GPL-2.0-or-later
"""A hand on the guest's mouse, from any thread. What the mouse makes of it: devices/ps2_mouse.pyx."""

from __future__ import annotations

import struct
import threading
from typing import Final

from hyperport.errors import AccessError
from hyperport.host.char import CharBackend

BUTTONS: Final = {"left": 1, "right": 2, "middle": 4, "fourth": 8, "fifth": 16}
EVENT: Final = struct.Struct("Bbbb")  # buttons that are down, then how far right, up, and the wheel toward the user
FARTHEST: Final = 127  # counts in one event


class Mouse:
    """ring: what the i8042 takes events from. A guest that has no driver for it, or reporting off, sees nothing."""

    def __init__(self, ring: CharBackend) -> None:
        self.ring = ring
        self._lock = threading.Lock()
        self._down = 0

    def move(self, right: int = 0, down: int = 0, wheel: int = 0) -> bool:
        """Move it by so many counts, as on a screen, and turn the wheel by so many clicks toward the user.

        False, and nothing moved, if too much waits for the guest.
        """
        steps = max(1, -(-max(abs(right), abs(down), abs(wheel)) // FARTHEST))
        shares = zip(_parts(right, steps), _parts(-down, steps), _parts(wheel, steps), strict=True)
        return self._send([EVENT.pack(self._down, *share) for share in shares])

    def press(self, button: str) -> bool:
        """Press "left", "right", "middle", "fourth" or "fifth", and hold it. Raises AccessError for another name."""
        return self._hold(self._down | _bit(button))

    def release(self, button: str) -> bool:
        """Let it go."""
        return self._hold(self._down & ~_bit(button))

    def click(self, button: str = "left") -> bool:
        """Press it and let it go."""
        before = self._down & ~_bit(button)
        return self._send([EVENT.pack(before | _bit(button), 0, 0, 0), EVENT.pack(before, 0, 0, 0)])

    def _hold(self, buttons: int) -> bool:
        done = self._send([EVENT.pack(buttons, 0, 0, 0)])
        if done:
            self._down = buttons
        return done

    def _send(self, events: list[bytes]) -> bool:
        """All of them, or none: the chip takes events whole."""
        data = b"".join(events)
        with self._lock:
            if self.ring.room() < len(data):
                return False
            self.ring.feed(data)
        return True


def _bit(button: str) -> int:
    if button not in BUTTONS:
        raise AccessError(f"mouse: there is no button {button!r}; there are {', '.join(BUTTONS)}")
    return BUTTONS[button]


def _parts(whole: int, count: int) -> list[int]:
    """count numbers that add up to whole, as equal as they can be."""
    return [whole * (at + 1) // count - whole * at // count for at in range(count)]
