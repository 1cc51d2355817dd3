# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

from hyperport.devices.post_code import PostCode


def test_remembers_the_last_byte() -> None:
    port = PostCode()
    assert port.read(0) == 0
    port.write_block(0, 1, b"\x12\x34")
    assert (port.read(0), port.last) == (0x34, 0x34)
    port.reset()
    assert port.last == 0
