# SPDX-License-Identifier: GPL-2.0-or-later
"""An example device with memory beside its ports: a frame grabber, whose picture lies in a window that it switches.

hyperport run KERNEL --device docs/examples/grabber/grabber.py:Grabber,base=0x340,memory=0xd8000
"""

from typing import Any

from hyperport import Device

WIDTH, HEIGHT = 64, 48
CONTROL, STATUS = 0, 1
GRAB, SHOW = 0x01, 0x02  # bits of the control register
DONE = 0x01  # of the status register
SIGN = b"FGRB"  # behind the picture


class Grabber(Device):
    """Takes pictures of a test chart: the next is a pixel to the left. Done at status read number `looks`."""

    span = 2
    memory_span = 4096

    def __init__(self, looks: int | str = 2) -> None:
        self.looks = int(looks)

    def reset(self) -> None:
        self.pictures, self.left, self.shown = 0, 0, 0
        self.bytes = bytearray(self.memory_span)
        self.window.unmap()

    def read(self, offset: int, size: int) -> int:
        if offset == CONTROL or not self.pictures:
            return 0
        self.left = max(0, self.left - 1)
        return 0 if self.left else DONE

    def write(self, offset: int, size: int, value: int) -> None:
        if offset != CONTROL:
            return
        if value & GRAB:
            self.pictures, self.left = (self.pictures + 1) % WIDTH, self.looks
            frame = bytes(
                (self.pictures + column) * (row + 1) & 0xFF for row in range(HEIGHT) for column in range(WIDTH)
            )
            self.bytes[: len(frame) + len(SIGN)] = frame + SIGN
        self.shown = value & SHOW
        if self.shown:
            self.window.map()
        else:
            self.window.unmap()

    def memory_read(self, offset: int, size: int) -> int:
        return int.from_bytes(self.bytes[offset : offset + size], "little")

    def memory_write(self, offset: int, size: int, value: int) -> None:
        self.bytes[offset : offset + size] = value.to_bytes(size, "little")

    def save(self) -> dict[str, Any]:
        return {"pictures": self.pictures, "left": self.left, "shown": self.shown, "bytes": bytes(self.bytes)}

    def load(self, record: dict[str, Any]) -> None:
        numbers = [record[name] for name in ("pictures", "left", "shown")]
        if not all(isinstance(number, int) and number >= 0 for number in numbers):
            raise ValueError("pictures, left and shown are numbers")
        if not isinstance(record["bytes"], bytes) or len(record["bytes"]) != self.memory_span:
            raise ValueError("no picture")
        self.pictures, self.left, self.shown = numbers
        self.bytes[:] = record["bytes"]
