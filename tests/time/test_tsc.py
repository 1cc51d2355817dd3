# SPDX-License-Identifier: GPL-2.0-or-later
"""The measured speed of the host's TSC, with readings of hosts that nobody has here."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hyperport.time import tsc
from hyperport.time.tsc import LONGEST_NS, OLDEST_NS, SHORTEST_NS, STEP_KHZ, Reading, measure


class Host:
    """Readings of a TSC of khz that a clock's reading is off by at most `within` ticks; sleeping lets its time pass."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, khz: float, within: int, off: int = 0) -> None:
        self.khz, self.within, self.off = khz, within, off
        self.now, self.slept = 1_000_000_000, 0
        monkeypatch.setattr(tsc, "read_tsc", self.read)
        monkeypatch.setattr(time, "sleep", self.sleep)

    def read(self) -> tuple[int, int, int]:
        self.off = -self.off
        return int(self.now * self.khz / 1e6) + self.off, self.now, self.within

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += int(seconds * 1e9) + 1000
        self.slept += int(seconds * 1e9)


@pytest.mark.parametrize("khz", [999_990, 2_100_000, 2_445_410, 4_294_970, 6_200_000])
def test_an_exact_host(monkeypatch: pytest.MonkeyPatch, khz: int) -> None:
    host = Host(monkeypatch, khz, within=50, off=25)
    first = tsc.read()
    assert measure(first) == khz
    assert SHORTEST_NS <= host.slept < LONGEST_NS


def test_what_has_passed_already_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch, 2_100_000, within=50)
    first = tsc.read()
    host.now += 60_000_000
    assert (measure(first), host.slept) == (2_100_000, 0)


def test_coarse_readings_make_it_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch, 2_000_000, within=1000, off=500)  # half a microsecond
    assert measure(tsc.read()) == 2_000_000
    assert host.slept >= 100_000_000 - SHORTEST_NS


def test_readings_that_are_too_coarse_tell_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    Host(monkeypatch, 2_000_000, within=10_000)
    assert measure(tsc.read()) == 0


@pytest.mark.parametrize("passed", [OLDEST_NS + 1, -5])
def test_a_first_reading_of_another_time_does_not_count(monkeypatch: pytest.MonkeyPatch, passed: int) -> None:
    host = Host(monkeypatch, 2_000_000, within=50)
    first = Reading(0, host.now - passed, 50)  # the TSC began anew since
    assert measure(first) == 2_000_000


def test_a_tsc_that_goes_backwards_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch, 2_000_000, within=50)
    first = Reading(host.read()[0] * 2, host.now - SHORTEST_NS, 50)
    assert measure(first) == 0


@pytest.fixture
def nothing_kept() -> Iterator[None]:
    tsc.tsc_khz.cache_clear()
    yield
    tsc.tsc_khz.cache_clear()


@pytest.mark.parametrize(
    ("clock", "invariant", "trusted"),
    [("tsc", False, True), ("kvm-clock", False, True), ("hpet", True, False), (None, True, True), (None, False, False)],
)
@pytest.mark.usefixtures("nothing_kept")
def test_what_the_kernel_does_not_trust_is_not_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, clock: str | None, invariant: bool, trusted: bool
) -> None:
    Host(monkeypatch, 2_000_000, within=50)
    monkeypatch.setattr(tsc, "FIRST", tsc.read())
    monkeypatch.setattr(tsc, "CURRENT_CLOCK", tmp_path / "clock")
    monkeypatch.setattr(tsc, "tsc_is_invariant", lambda: invariant)
    if clock is not None:
        (tmp_path / "clock").write_text(f"{clock}\n")
    assert tsc.tsc_khz() == (2_000_000 if trusted else 0)


def test_this_host_says_the_same_again() -> None:
    """Two measurements of one TSC differ by what each may be off, and by a step that each is rounded to."""
    if not tsc.is_trusted() or not (one := measure(tsc.read())):
        pytest.skip("this host's TSC tells nothing")
    other = measure(tsc.read())
    assert abs(one - other) <= 2 * (STEP_KHZ + one * 1e-5)
