# SPDX-License-Identifier: GPL-2.0-or-later
"""The core's TLB grows with the pages that a guest uses at once: a guest that uses all 4 GiB must not eat the host."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

from hyperport import HaltedForever, Machine
from hyperport.cpu.state import protected_flat

ROOT: Final = Path(__file__).parents[2]
MIB: Final = 1 << 20
PAGE: Final = 4096
PRESENT_WRITABLE: Final = 3
CODE, DIRECTORY, TABLE = 0x8000, 0x20_0000, 0x20_1000
SWEEPS: Final = 14  # the table doubles at most from one to the next: 256 entries to 2^20, with two to spare
TABLE_ENTRIES: Final = 1 << 21  # for 2^20 pages: the core doubles what is more than 70 % full
ENTRY: Final = 64 + 16  # bytes: CPUTLBEntry and CPUIOTLBEntry
MOST_TABLE: Final = TABLE_ENTRIES * ENTRY  # 160 MiB of one mode, as README.md promises
BESIDES: Final = 32 * MIB  # guest RAM, translated code, and what the run itself takes
SWEEP: Final = bytes.fromhex(  # all entries of the directory lead to one table: 2^20 pages, on 4 MiB of RAM
    "b800002000 0f22d8"  # mov $DIRECTORY, %eax; mov %eax, %cr3
    "0f20c0 0d00000080 0f22c0 eb00"  # paging on
    "31f6 8a06 81c600100000 75f6"  # for (esi = 0; ; esi += PAGE) load a byte; until it wraps
    "f4"  # hlt
)
LIMIT_S: Final = 120


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def child() -> None:
    """Prints the most by which this process has grown."""
    with Machine(engine="unicorn", memory=8 * MIB) as machine:
        machine.memory.write(CODE, SWEEP)
        machine.memory.write(DIRECTORY, (TABLE | PRESENT_WRITABLE).to_bytes(4, "little") * 1024)
        entries = (number * PAGE | PRESENT_WRITABLE for number in range(1024))
        machine.memory.write(TABLE, b"".join(entry.to_bytes(4, "little") for entry in entries))
        before, most = resident(), 0
        for _ in range(SWEEPS):
            machine.engine.set_state(protected_flat(eip=CODE))
            assert isinstance(machine.run(timeout=LIMIT_S), HaltedForever)
            most = max(most, resident() - before)
    print(most)


def test_page_tables_over_all_of_memory_cost_a_bounded_part_of_the_hosts() -> None:
    command = [sys.executable, "-c", "from tests.engines.test_unicorn_tlb_growth import child; child()"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=True, cwd=ROOT)
    assert 0 < int(done.stdout) < MOST_TABLE + BESIDES
