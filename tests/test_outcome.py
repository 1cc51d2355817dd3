# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperport import errors, outcome
from hyperport.cpu.state import CpuState, Segment
from hyperport.outcome import ERROR_STATUSES, GuestExit, Outcome, error_status


@given(st.integers(0, 0xFFFFFFFF))
def test_guest_exit_is_odd_and_fits(value: int) -> None:
    status = GuestExit(value).status
    assert status & 1
    assert status == (value * 2 + 1) % 256


@pytest.mark.parametrize(
    ("ended", "status", "text"),
    [
        (outcome.GuestExit(0), 1, "the guest exited with value 0"),
        (outcome.Reset(), 0, "the guest reset the machine"),
        (outcome.PowerOff(), 0, "the guest switched the machine off"),
        (outcome.TripleFault(CpuState(eip=16, cs=Segment(0x10))), 80, "triple fault at 0010:00000010"),
        (outcome.HaltedForever(CpuState(eip=16, cs=Segment(0x10))), 84, "halted for ever at 0010:00000010"),
        (outcome.Timeout(1.5), 124, "stopped after 1.5 s, the time it was given"),
        (outcome.Panic("Kernel panic - x"), 82, "the guest panicked: Kernel panic - x"),
        (outcome.Quit(), 0, "left by the user"),
        (outcome.EngineAbort("TR is bad"), 70, "the engine stopped the guest: TR is bad"),
        (outcome.Interrupted(15), 143, "stopped by SIGTERM"),
        (outcome.Interrupted(2), 130, "stopped by SIGINT"),
        (outcome.Interrupted(100), 228, "stopped by signal 100"),
    ],
)
def test_status_and_text(ended: Outcome, status: int, text: str) -> None:
    assert (ended.status, str(ended)) == (status, text)


def test_each_outcome_has_a_kind_of_its_own() -> None:
    classes = {value for value in vars(outcome).values() if isinstance(value, type) and issubclass(value, Outcome)}
    kinds = [each.kind for each in classes - {Outcome}]
    assert len(kinds) >= 10
    assert len(kinds) == len(set(kinds))


def test_statuses_of_the_vmms_own_errors_are_even() -> None:
    assert all(status % 2 == 0 for _, status in ERROR_STATUSES)


@pytest.mark.parametrize("kind", [kind for kind in vars(errors).values() if isinstance(kind, type)])
def test_every_error_has_a_status_of_its_own_or_is_internal(kind: type[Exception]) -> None:
    assert error_status(kind("text")) in {2, *range(64, 80, 2)}


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.UsageError("x"), 2),
        (errors.ConfigError("x"), 78),
        (errors.ImageError("x"), 66),
        (errors.FetchError("x"), 68),
        (errors.EngineError("x"), 70),
        (errors.StateError("x"), 76),
        (FileNotFoundError("x"), 74),
        (ZeroDivisionError("x"), 70),
    ],
)
def test_error_status(error: Exception, status: int) -> None:
    assert error_status(error) == status
