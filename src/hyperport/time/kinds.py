# SPDX-License-Identifier: GPL-2.0-or-later
"""A clock from what `--clock` says."""

from __future__ import annotations

from hyperport.time.clock import Clock, RealClock
from hyperport.time.options import ClockSpec


def make_clock(spec: ClockSpec) -> Clock:
    """The clock that a ClockSpec names, at power-on."""
    if spec.ns is None:
        return RealClock()
    from hyperport.time.insn_clock import InsnClock

    return InsnClock(spec.ns)
