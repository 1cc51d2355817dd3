# SPDX-License-Identifier: GPL-2.0-or-later
"""Graphics modes that SeaVGABIOS sets for programs that nobody here wrote: GRUB's gfxterm, and Linux's vesafb."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from hyperport import Machine, MemoryBackend, StopKind
from hyperport.guests.initramfs import READY
from hyperport.guests.iso import read_iso, write_iso
from hyperport.guests.names import INITRAMFS, KERNEL
from hyperport.outcome import Quit

from ..devices.qtest import Monitor
from ..ui.test_display import Colour, dots
from .conftest import BOOT_S, require, require_qemu, trouble

pytestmark = pytest.mark.real

POLL_S: Final = 0.2
SETTLE_S: Final = 2.0  # what comes on the serial line first is on the screen then
MENU: Final = """\
serial --unit=0
insmod vbe
insmod gfxterm
loadfont ($root)/boot/grub/fonts/unicode.pf2
set gfxmode=800x600x{bits}
terminal_output gfxterm serial
set timeout=-1
menuentry "An entry of the menu" {{ true }}
menuentry "Another one" {{ true }}
"""
VESA: Final = f"""\
linux16 /boot/{KERNEL} vga=0x314 console=tty0 console=ttyS0 panic=-1 acpi=off nokaslr mitigations=off
initrd16 /boot/{INITRAMFS}
boot
"""


def grub(path: Path, config: str, more: dict[str, bytes] | None = None) -> Path:
    """A CD with GRUB's files, this configuration, and more."""
    rescue = require("grub-cd").kernel
    files = read_iso(rescue.read_bytes(), rescue.name)
    files["boot/grub/grub.cfg"] = config.encode()
    write_iso(path, files | (more or {}), "boot/grub/i386-pc/eltorito.img")
    return path


def until(seen: Callable[[], bool]) -> None:
    """Wait for it."""
    limit = time.monotonic() + BOOT_S
    while not seen():
        assert time.monotonic() < limit
        time.sleep(POLL_S)


def shown(image: Path, text: str) -> tuple[list[list[Colour]], str]:
    """The picture when text has come on the console, and what else came there."""
    require("firmware")
    console = MemoryBackend()
    with Machine(image=image, serial=console, engine="unicorn") as machine:

        def watch() -> None:
            until(lambda: text.encode() in console.output())
            time.sleep(SETTLE_S)
            machine.request_stop(StopKind.QUIT)

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        assert machine.run(timeout=BOOT_S) == Quit(), console.output()[-2000:]
        watcher.join()
        assert machine.display.text() == []
        return dots(machine.display.png()), console.output().decode("utf-8", "replace")


def shown_by_qemu(image: Path, text: str, folder: Path) -> list[list[Colour]]:
    """The same on qemu."""
    monitor, console = Monitor(folder), folder / "console"
    command = [
        require_qemu(),
        "-machine",
        "isapc",
        "-vga",
        "std",
        "-display",
        "none",
        "-net",
        "none",
        *monitor.arguments,
    ]
    with subprocess.Popen([*command, "-cdrom", image, "-boot", "d", "-serial", f"file:{console}"]) as process:
        try:
            until(lambda: console.exists() and text.encode() in console.read_bytes())
            time.sleep(SETTLE_S)
            return monitor.screendump()
        finally:
            monitor.close()
            process.kill()


@pytest.mark.parametrize("bits", [32, 16, 8])
def test_the_menu_of_grub_is_the_same_picture_as_on_qemu(bits: int, tmp_path: Path) -> None:
    image = grub(tmp_path / "cd.iso", MENU.format(bits=bits))
    ours, _ = shown(image, "Another one")
    theirs = shown_by_qemu(image, "Another one", tmp_path)
    assert (len(ours[0]), len(ours)) == (800, 600)
    assert len({colour for row in ours for colour in row}) > 1
    wrong = [
        (x, y)
        for y in range(600)
        for x in range(800)
        if any(abs(a - b) > 3 for a, b in zip(ours[y][x], theirs[y][x], strict=True))
    ]
    assert not wrong, f"{len(wrong)} pixels, the first at {wrong[0]}"


def test_linux_writes_on_a_frame_buffer(tmp_path: Path) -> None:
    debian = require("debian")
    assert debian.initrd is not None
    files = {f"boot/{KERNEL}": debian.kernel.read_bytes(), f"boot/{INITRAMFS}": debian.initrd.read_bytes()}
    picture, log = shown(grub(tmp_path / "cd.iso", VESA, files), READY)
    assert "vesafb: framebuffer at 0xe0000000" in log
    assert "Console: switching to colour frame buffer device 100x37" in log
    assert [line for line in trouble(log) if "MP table" not in line] == []
    assert (len(picture[0]), len(picture)) == (800, 600)
    lines = [
        "".join("#" if any(picture[16 * row + y][x] != (0, 0, 0) for y in range(16)) else " " for x in range(800))
        for row in range(37)
    ]
    assert sum(bool(line.strip()) for line in lines) > 30, "text nearly everywhere"
