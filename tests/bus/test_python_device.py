# SPDX-License-Identifier: GPL-2.0-or-later
"""Plain Python devices behind the compiled contract."""

from __future__ import annotations

import pytest

from hyperport.bus.python_device import PythonDevice, adapt
from hyperport.lines.attention import Attention, StopKind


class Broken:
    widths = (1, 2, 4)

    def read(self, offset: int, size: int) -> int:
        raise KeyError("lost")

    def write(self, offset: int, size: int, value: int) -> None:
        raise OSError("gone")

    def read_block(self, offset: int, size: int, count: int) -> bytes:
        return b"too short"

    def on_timer(self, number: int) -> None:
        raise ValueError("late")


def test_an_exception_answers_ones_and_stops_the_run() -> None:
    attention = Attention()
    device = PythonDevice(Broken())
    device.connect(attention)
    assert device.read(0, 1) == 0xFF
    device.write(0, 1, 0)
    kind, _, failure, text = attention.take_stop()
    assert kind == StopKind.DEVICE_ERROR
    assert isinstance(failure, KeyError)
    assert text == "broken raised KeyError: 'lost'"


def test_a_wrong_block_answers_ones_and_stops_the_run() -> None:
    attention = Attention()
    device = PythonDevice(Broken())
    device.connect(attention)
    assert device.read_block(0, 1, 4) == b"\xff" * 4
    assert isinstance(attention.take_stop()[2], ValueError)


@pytest.mark.parametrize("answer", [-1, 1 << 40, 0x1FF])
def test_answers_are_cut_to_the_access(answer: int) -> None:
    class Wide:
        def read(self, offset: int, size: int) -> int:
            return answer

        def write(self, offset: int, size: int, value: int) -> None:
            pass

    assert PythonDevice(Wide()).read(0, 1) == answer & 0xFF


def test_adapting_keeps_compiled_devices() -> None:
    device = PythonDevice(Broken())
    assert adapt(device) is device
