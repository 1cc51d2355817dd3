# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

from hyperport.devices.debugcon import Debugcon
from hyperport.host.char import MemoryBackend


def test_reads_e9_and_prints() -> None:
    far = MemoryBackend()
    port = Debugcon(far)
    assert port.read(0) == 0xE9
    port.write(0, 1, ord("h"))
    port.write_block(0, 1, b"ello")
    port.write_block(0, 2, b"!?\n\0")
    far.drain()
    assert far.output() == b"hello!\n"
