# SPDX-License-Identifier: GPL-2.0-or-later
"""An example device: three registers that count up when read, a bell that rings an interrupt, and a small FIFO.

hyperport run devtest --device docs/examples/doorbell.py:Doorbell,base=0x300,irq=5
"""

from collections import deque
from typing import Any

from hyperport import Device

BELL = 1  # bit 0 is the level of the interrupt line
FIFO = 8  # one byte a write, one byte a read, each plus 1


class Doorbell(Device):
    """Registers at offsets 0 (byte), 2 (word) and 4 (doubleword), the bell at 1, the FIFO at 8."""

    span = 16
    widths = (1, 2, 4)

    def reset(self) -> None:
        self.registers = dict.fromkeys(range(self.span), 0)
        self.fifo: deque[int] = deque(maxlen=64)

    def read(self, offset: int, size: int) -> int:
        if offset == FIFO:
            return self.fifo.popleft() + 1 if self.fifo else 0xFF
        return self.registers[offset] + (offset != BELL)

    def write(self, offset: int, size: int, value: int) -> None:
        if offset == FIFO:
            self.fifo.append(value)
        elif offset == BELL:
            self.registers[BELL] = value & 1
            self.irq.set(value & 1)
        else:
            self.registers[offset] = value

    def save(self) -> dict[str, Any]:
        return {"registers": list(self.registers.values()), "fifo": list(self.fifo)}

    def load(self, record: dict[str, Any]) -> None:
        self.registers = dict(enumerate(record["registers"]))
        self.fifo = deque(record["fifo"], maxlen=64)
