# SPDX-License-Identifier: GPL-2.0-or-later
"""The table of numbers against the contract's own fixed points."""

from __future__ import annotations

from hyperport.abi.numbers import PORT_CALLS, VMI_BY_NAME, VMI_CALLS
from hyperport.bus.access import Direction

SIZES = {"L": 4, "B": 1, "W": 2}


def test_the_place_is_the_number() -> None:
    assert [call.number for call in VMI_CALLS] == list(range(74))
    assert len(VMI_BY_NAME) == 74


def test_fixed_points_of_the_order() -> None:
    """One name for each group of the specification: a call lost or swapped moves those behind it."""
    known = {
        "CPUID": 0, "SetGDT": 3, "GetGDT": 7, "WriteGDTEntry": 11, "UpdateKernelStack": 14, "SetCR0": 15, "GetCR0": 19,
        "WBINVD": 23, "CLTS": 28, "EnableInterrupts": 29, "SetInterruptMask": 32, "IRET": 33, "SYSEXIT": 34, "Halt": 35,
        "SetPxE": 38, "AllocatePage": 44, "FlushTLB": 47, "SetLinearMapping": 48, "INL": 49, "SetIOPLMask": 61,
        "IODelay": 65, "GetCycleFrequency": 66, "SetAlarm": 68, "GetWallclockTime": 70, "SetLazyMode": 73,
    }  # fmt: skip
    assert {name: VMI_BY_NAME[name].number for name in known} == known


def test_forms_follow_from_the_names() -> None:
    """The I/O patch's names: IN or OUT, S for a string, the size as in AT&T syntax."""
    assert [call.name for call in PORT_CALLS] == [
        f"{op}{size}" for op in ("IN", "INS", "OUT", "OUTS") for size in SIZES
    ]
    for call in PORT_CALLS:
        assert call.port is not None
        direction = Direction.IN if call.name.startswith("IN") else Direction.OUT
        string = call.name.removeprefix(direction.name).startswith("S")
        assert (call.port.direction, call.port.size, call.port.string) == (direction, SIZES[call.name[-1]], string)
