# SPDX-License-Identifier: GPL-2.0-or-later
"""What a load and a store of device memory cost, beside an OUT and an IN: ns of CPU time, medians, and of pairs.

.venv/bin/python bench/mmio.py [--rounds 7] [--count 1000000] [--kvm-count 20000]

Rows: Unicorn with the real clock; with the clock of instructions, where each access is alone in its block; KVM, if the
host has it, whose exits a software emulation makes ten times as dear.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

from hyperport import Device, EngineError, Machine
from hyperport.bus.device import PortDevice
from hyperport.cpu.state import protected_flat

CODE = 0x10000
CARD = 0xF0000000
PORT = 0x300
LOOPS = {  # name: the instruction that a loop repeats
    "nothing": b"\x90",
    "out": b"\xee",  # out %al, %dx
    "in": b"\xec",
    "store": b"\xa2" + CARD.to_bytes(4, "little"),  # mov %al, CARD
    "load": b"\xa0" + CARD.to_bytes(4, "little"),
}
PEERS = {"out": "out", "store": "out", "in": "in", "load": "in"}  # an access of memory beside which of a port


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


def measure(title: str, rounds: int, count: int, **settings: Any) -> None:
    """Print the rows of one engine and clock."""
    for device, what in ((Chip(), "compiled"), (Card(), "plain Python")):
        taken: dict[str, list[float]] = {}
        with Machine(io="exit", memory=2 << 20, **settings) as machine:
            machine.attach(device, PORT, memory=CARD)
            for _ in range(rounds):
                empty = seconds(machine, LOOPS["nothing"], count)
                for name in PEERS:
                    took = (seconds(machine, LOOPS[name], count) - empty) / count * 1e9
                    taken.setdefault(name, []).append(took)
        for name, peer in PEERS.items():
            more = statistics.median(mine - other for mine, other in zip(taken[name], taken[peer], strict=True))
            beside = "" if name == peer else f"   {more:+.1f} beside {peer}"
            print(f"{title:16} {what:13} {name:6} {statistics.median(taken[name]):8.1f} ns{beside}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--kvm-count", type=int, default=20_000, help="accesses of a round on KVM")
    asked = parser.parse_args()
    measure("unicorn", asked.rounds, asked.count, engine="unicorn")
    measure("unicorn, insns", asked.rounds, asked.count // 4, engine="unicorn", clock="insns")
    try:
        measure("kvm", asked.rounds, asked.kvm_count, engine="kvm")
    except EngineError as error:
        print(error)


if __name__ == "__main__":
    main()
