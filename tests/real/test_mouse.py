# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's own psmouse on our i8042: it finds the wheel, and what Python moves comes out of /dev/input/mice."""

from __future__ import annotations

import re

import pytest

from hyperport import Machine, MemoryBackend
from hyperport.guests import initramfs
from hyperport.guests.registry import DEBIAN_APPEND

from .conftest import BOOT_S, require, trouble

pytestmark = pytest.mark.real


def test_psmouse_finds_the_wheel() -> None:
    guest = require("debian")
    serial = MemoryBackend()
    with Machine(
        kernel=str(guest.kernel),
        initrd=str(guest.initrd),
        append=f"{DEBIAN_APPEND} hp.modules=mouse",
        serial=serial,
    ) as machine:

        def run_until(words: str) -> str:
            for _ in range(BOOT_S):
                machine.run(timeout=1)
                said = serial.output().decode(errors="replace")
                if words in said:
                    return said
            pytest.fail(f"no {words!r} in {serial.output()[-2000:]!r}")

        run_until(initramfs.READY)
        serial.feed(b"dd if=/dev/input/mice bs=3 count=4 2>/dev/null | od -An -tu1 -w3 & sleep 1; echo now-$((6*7))\n")
        run_until("now-42")
        machine.mouse.move(5, 7)
        machine.run(timeout=0.5)
        machine.mouse.click("left")
        machine.run(timeout=0.5)
        machine.mouse.move(-3, 0)
        machine.run(timeout=1)
        serial.feed(b"dmesg | grep -i -e psmouse -e 'PS/2' -e IMPS; grep i8042 /proc/interrupts; echo done-$((6*7))\n")
        said = run_until("done-42")
    packets = re.findall(r" +(\d+) +(\d+) +(\d+)\s*$", said.partition("now-42")[2], re.M)
    assert ("8", "5", "249") in packets or ("40", "5", "249") in packets
    assert any(int(first) & 1 for first, *_ in packets), "the left button"
    assert re.search(r"(ImPS/2|ImExPS/2|IntelliMouse|Explorer)", said), said[-2000:]
    assert trouble(said) == []
