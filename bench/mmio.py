# SPDX-License-Identifier: GPL-2.0-or-later
"""What a load and a store of device memory cost on Unicorn, beside an OUT and an IN: ns of CPU time, medians.

.venv/bin/python bench/mmio.py [--rounds 7] [--count 1000000]
"""

from __future__ import annotations

import argparse
import statistics
import time

from hyperport import Device, Machine
from hyperport.bus.device import PortDevice
from hyperport.cpu.state import protected_flat

CODE = 0x10000
CARD = 0xD0000000
PORT = 0x300
LOOPS = {  # name: the instruction in a loop of LOOP
    "nothing": b"\x90",
    "out": b"\xee",  # out %al, %dx
    "in": b"\xec",
    "store": b"\xa2" + CARD.to_bytes(4, "little"),  # mov %al, CARD
    "load": b"\xa0" + CARD.to_bytes(4, "little"),
}


class Card(Device):
    """A device in plain Python that does nothing."""

    memory_span = 4096

    def read(self, offset: int, size: int) -> int:
        return 0

    memory_read = read

    def memory_write(self, offset: int, size: int, value: int) -> None:
        pass


class Chip(PortDevice):
    """The compiled contract's own answers: all ones."""

    name = "chip"
    memory_span = 4096


def seconds(machine: Machine, instruction: bytes, count: int) -> float:
    body = instruction + b"\x49"  # dec %ecx
    loop = body + b"\x75" + (-(len(body) + 2) & 0xFF).to_bytes(1, "little")
    machine.memory.write(CODE, b"\xb9" + count.to_bytes(4, "little") + loop + b"\xf4")
    state = protected_flat(eip=CODE)
    state.edx = PORT
    machine.engine.set_state(state)
    began = time.process_time()
    machine.run()
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--count", type=int, default=1_000_000)
    asked = parser.parse_args()
    taken: dict[str, list[float]] = {}
    for device, what in ((Chip(), "compiled"), (Card(), "plain Python")):
        with Machine(engine="unicorn", io="exit", memory=2 << 20) as machine:
            machine.attach(device, PORT, memory=CARD)
            for _ in range(asked.rounds):
                empty = seconds(machine, LOOPS["nothing"], asked.count)
                for name in ("out", "store", "in", "load"):
                    took = (seconds(machine, LOOPS[name], asked.count) - empty) / asked.count * 1e9
                    taken.setdefault(f"{name:6} {what:13}", []).append(took)
    for name, figures in taken.items():
        print(f"{name} {statistics.median(figures):7.1f} ns")


if __name__ == "__main__":
    main()
