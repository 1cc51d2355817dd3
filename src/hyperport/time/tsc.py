# SPDX-License-Identifier: GPL-2.0-or-later
"""How fast the host's TSC runs, which is how fast a guest's runs. cpu/cpuid.py tells the guest.

No interface of the kernel tells everybody, so it is measured, against the clock that the guest's timers run on: twice
the TSC and the time are read close together, some milliseconds apart. How close they were is known, so a busy host
makes a measurement longer and not worse. The first pair is read as this is imported, the second when an engine asks.
"""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from hyperport.time.clock import Clock, read_tsc, tsc_is_invariant
from hyperport.time.insn_clock import InsnClock

CURRENT_CLOCK: Final = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
TSC_CLOCKS: Final = ("tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "xen")  # made of the TSC: the kernel trusts it

READINGS: Final = 16  # of which the closest one counts: the others may have been interrupted
TIMES_AS_LONG: Final = 200_000  # as what a reading may be off: 5 parts in a million for each of the two
SHORTEST_NS: Final = 5_000_000
LONGEST_NS: Final = 200_000_000  # a host whose readings are too far apart for this tells the guest nothing
OLDEST_NS: Final = 10_000_000_000  # of the first pair: the host may have slept since
STEP_KHZ: Final = 10  # the result is rounded to it, so that two processes are hardly told different ones


class Reading(NamedTuple):
    """The TSC and the host's monotonic time in ns, read within so many ticks."""

    ticks: int
    ns: int
    within: int


def read() -> Reading:
    """The closest of some readings."""
    return min((Reading(*read_tsc()) for _ in range(READINGS)), key=lambda reading: reading.within)


def frequency(first: Reading, last: Reading) -> float:
    """Ticks in a second between two readings, in kHz."""
    return (last.ticks - first.ticks) * 1e6 / (last.ns - first.ns)


def is_trusted() -> bool:
    """Whether the host's TSC has one speed: the kernel keeps time by it, or the processor says so."""
    try:
        return CURRENT_CLOCK.read_text().strip() in TSC_CLOCKS
    except OSError:  # a container without /sys
        return tsc_is_invariant()


def measure(first: Reading) -> int:
    """kHz of the TSC, rounded to STEP_KHZ; 0 where the readings of this host are too coarse."""
    while True:
        last = read()
        elapsed = last.ns - first.ns
        if not 0 <= elapsed <= OLDEST_NS:
            first = last
            time.sleep(SHORTEST_NS / 1e9)
            continue
        wanted = SHORTEST_NS
        if elapsed:
            ticks_per_ns = (last.ticks - first.ticks) / elapsed
            if ticks_per_ns <= 0:
                return 0
            wanted = max(wanted, int(TIMES_AS_LONG * max(first.within, last.within) / ticks_per_ns))
        if wanted > LONGEST_NS:
            return 0
        if elapsed >= wanted:
            return round(frequency(first, last) / STEP_KHZ) * STEP_KHZ
        time.sleep((wanted - elapsed) / 1e9)


@cache
def tsc_khz() -> int:
    """kHz of the host's TSC, the same for each machine of this process; 0 where it cannot be told truly."""
    return measure(FIRST) if is_trusted() else 0


def khz_of(clock: Clock) -> int:
    """kHz of the TSC of a guest that lives by this clock; 0 where it cannot be told truly."""
    return clock.tsc_hz // 1000 if isinstance(clock, InsnClock) else tsc_khz()


FIRST: Final = read()
