# SPDX-License-Identifier: GPL-2.0-or-later
"""A thermometer card: a conversion takes a while, and then there is a temperature from -128 to 127 degrees.

hyperport run --kernel thermo.elf --device thermometer.py:Thermometer,base=0x320,celsius=21
"""

from hyperport import Device

STATUS, DATA = 0, 1  # offsets: write STATUS to start a conversion
READY = 0x01
CONVERSION_NS = 20_000


class Thermometer(Device):
    """Two ports, of a byte each."""

    span = 2

    def __init__(self, celsius: str = "20") -> None:
        self.celsius = int(celsius)

    def reset(self) -> None:
        self.ready = False
        self.timer.cancel()

    def write(self, offset: int, size: int, value: int) -> None:
        if offset == STATUS:
            self.ready = False
            self.timer.arm_at(self.clock.now_ns() + CONVERSION_NS)

    def on_timer(self, number: int) -> None:
        self.ready = True

    def read(self, offset: int, size: int) -> int:
        if offset == STATUS:
            return READY if self.ready else 0
        self.ready = False
        return self.celsius & 0xFF
