# SPDX-License-Identifier: GPL-2.0-or-later
"""What the number of devices costs: the same access with 1 device on the bus and with 1,000, in one process, in turn.

    python bench/devices.py [--pairs 15] [--devices 1000]

No guest runs, so nothing but bus, clock and device is in the figures. `split` is an IN that the bus takes apart into
two bytes of a compiled chip, inside one block, so that no Python is in it; `python` is an IN of a device in plain
Python; `timer` arms one of as many timers. `counts` and `attach` are per call, without a peer.
"""

from __future__ import annotations

import argparse
import statistics
from time import perf_counter_ns

from hyperport import Device, PortBus
from hyperport.bus.python_device import PythonDevice
from hyperport.devices.post_code import PostCode
from hyperport.time.clock import Timer, VirtualClock

ELEMENTS = 65536
CALLS = 20000


class Board:
    """A bus with so many devices in plain Python and one compiled chip, and as many armed timers."""

    def __init__(self, devices: int) -> None:
        self.bus = PortBus()
        began = perf_counter_ns()
        for number in range(devices):
            self.bus.attach(Device(), 0x1000 + 8 * number)
        self.attach_us = (perf_counter_ns() - began) / devices / 1000
        self.bus.attach(PostCode(), 0x80)
        self.clock = VirtualClock()
        owner = PythonDevice(Device())
        self.timers = [Timer(self.clock, owner, number) for number in range(devices)]
        for number, timer in enumerate(self.timers):
            timer.arm_at(10**9 + number)

    def split(self) -> float:
        """ns for each byte of words at a port that takes bytes."""
        began = perf_counter_ns()
        self.bus.inp_block(0x80, 2, ELEMENTS)
        return (perf_counter_ns() - began) / (2 * ELEMENTS)

    def python(self) -> float:
        """ns for an IN of the last device in plain Python."""
        port, inp = self.bus.map()[-1][0], self.bus.inp
        began = perf_counter_ns()
        for _ in range(CALLS):
            inp(port)
        return (perf_counter_ns() - began) / CALLS

    def timer(self) -> float:
        """ns for arming the last timer before all others and behind them again."""
        arm = self.timers[-1].arm_at
        began = perf_counter_ns()
        for _ in range(CALLS // 2):
            arm(1)
            arm(10**12)
        return (perf_counter_ns() - began) / CALLS

    def counts(self) -> float:
        """us for the counters."""
        began = perf_counter_ns()
        self.bus.counts()
        return (perf_counter_ns() - began) / 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--devices", type=int, default=1000)
    options = parser.parse_args()
    one, many = Board(1), Board(options.devices)
    for name in ("split", "python", "timer"):
        few, lots = [], []
        for _ in range(options.pairs):
            few.append(getattr(one, name)())
            lots.append(getattr(many, name)())
        ratio = statistics.median(b / a for a, b in zip(few, lots, strict=True))
        print(
            f"{name:8} {statistics.median(few):8.1f} ns with 1 {statistics.median(lots):8.1f} ns with {options.devices}"
            f"  ratio {ratio:.2f}"
        )
    print(f"counts   {statistics.median(many.counts() for _ in range(options.pairs)):8.1f} us a call")
    print(f"attach   {many.attach_us:8.1f} us a device")


if __name__ == "__main__":
    main()
