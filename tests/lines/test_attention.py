# SPDX-License-Identifier: GPL-2.0-or-later
"""The flag word and the stop request."""

from __future__ import annotations

import threading

import pytest

from hyperport.lines.attention import Attention, StopKind, StopPin
from hyperport.lines.irq import IrqLine


def test_the_first_stop_request_wins() -> None:
    attention = Attention()
    assert not attention.stop_pending()
    attention.stop(StopKind.GUEST_EXIT, 7)
    attention.stop(StopKind.RESET)
    assert attention.stop_pending()
    assert attention.take_stop()[:2] == (StopKind.GUEST_EXIT, 7)
    assert attention.take_stop()[0] == StopKind.NONE
    assert not attention.stop_pending()


def test_a_pause_gives_way_to_an_end() -> None:
    attention = Attention()
    attention.stop(StopKind.PAUSE)
    attention.stop(StopKind.GUEST_EXIT, 7)
    attention.stop(StopKind.PAUSE)
    assert attention.take_stop()[:2] == (StopKind.GUEST_EXIT, 7)


@pytest.mark.parametrize("asked", [StopKind.PAUSE, StopKind.SIGNAL, StopKind.TIMEOUT, StopKind.QUIT])
def test_what_is_asked_for_from_outside_gives_way_to_what_the_guest_has_done(asked: StopKind) -> None:
    attention = Attention()
    attention.stop(asked, 3)
    attention.stop(StopKind.GUEST_EXIT, 7)
    attention.stop(StopKind.POWER_OFF)
    attention.stop(asked, 3)
    assert attention.take_stop()[:2] == (StopKind.GUEST_EXIT, 7)
    assert attention.take_stop()[0] == StopKind.NONE


def test_of_those_from_outside_the_first_wins() -> None:
    attention = Attention()
    attention.stop(StopKind.SIGNAL, 15)
    attention.stop(StopKind.TIMEOUT)
    assert attention.take_stop()[:2] == (StopKind.SIGNAL, 15)


def test_two_pauses_are_for_both_of_them() -> None:
    attention = Attention()
    for first, second in ((1, 1), (1, 0), (0, 1)):
        attention.stop(StopKind.PAUSE, first)
        attention.stop(StopKind.PAUSE, second)
        assert attention.take_stop()[:2] == (StopKind.PAUSE, first & second)


def test_a_request_can_be_withdrawn_by_its_kind() -> None:
    attention = Attention()
    attention.stop(StopKind.QUIT)
    attention.withdraw(StopKind.TIMEOUT)
    assert attention.stop_pending()
    attention.withdraw(StopKind.QUIT)
    assert not attention.stop_pending()
    assert attention.take_stop()[0] == StopKind.NONE


def test_a_stop_pin_is_pulled_by_a_rising_line() -> None:
    attention = Attention()
    line = IrqLine(StopPin(attention), StopKind.POWER_OFF)
    line.set(0)
    assert not attention.stop_pending()
    line.set(1)
    assert attention.take_stop()[0] == StopKind.POWER_OFF


def test_waiting_ends_with_time_or_with_a_flag_from_another_thread() -> None:
    attention = Attention()
    assert not attention.wait_ns(1000)
    thread = threading.Timer(0.02, attention.stop, (StopKind.QUIT,))
    thread.start()
    assert attention.wait_ns(None)
    thread.join()
    assert attention.wait_ns(None), "a raised flag does not wait"


def test_a_flag_raised_again_and_again_is_never_lost() -> None:
    attention = Attention()
    rounds = 2000

    def raise_many() -> None:
        for _ in range(rounds):
            attention.stop(StopKind.QUIT)
            while attention.stop_pending():
                pass

    thread = threading.Thread(target=raise_many)
    thread.start()
    for _ in range(rounds):
        while attention.take_stop()[0] == StopKind.NONE:
            attention.wait_ns(None)
    thread.join()
