# SPDX-License-Identifier: GPL-2.0-or-later
"""The gallery: images that nobody here wrote, by SeaBIOS, each to a state that is recognised.

`make test-images` runs all of them; those that take long are left out of `make test-real`.
"""

from __future__ import annotations

import threading
from typing import Final

import pytest

from hyperport import Machine, MemoryBackend, StopKind
from hyperport.guests.gallery import GALLERY
from hyperport.guests.registry import GUESTS
from hyperport.outcome import Quit

from .conftest import BOOT_S, require, trouble

pytestmark = pytest.mark.real

POLL_S: Final = 0.2


def boot(name: str, limit: float = BOOT_S) -> tuple[str, str]:
    """Run an image of the gallery until its state is there; what is on the screen then, and came on the console."""
    state = GALLERY[name]
    guest = require(name)
    require("firmware")
    console = MemoryBackend()
    over = threading.Event()
    with Machine(**guest.settings(), serial=console, engine="unicorn") as machine:

        def seen() -> str:
            if state.on_console:
                return console.output().decode("utf-8", "replace")
            return "\n".join(machine.display.text())

        def watch() -> None:
            while not over.wait(POLL_S):
                if state.text in seen():
                    machine.request_stop(StopKind.QUIT)
                    return

        watcher = threading.Thread(target=watch)
        watcher.start()
        outcome = machine.run(timeout=limit)
        over.set()
        watcher.join()
        screen, said = "\n".join(machine.display.text()), console.output().decode("utf-8", "replace")
        assert state.text in seen(), f"{outcome}\n{screen}\n{said[-2000:]}"
        assert state.on_console or outcome == Quit()
        assert machine.drives.trouble() == []
    return screen, said


def test_all_images_have_a_state() -> None:
    assert set(GALLERY) == {name for name, guest in GUESTS.items() if guest.word != "kernel"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if state.quick else pytest.mark.gallery) for name, state in GALLERY.items()]
)
def test_image_comes_up(name: str) -> None:
    screen, said = boot(name)
    assert trouble(screen + said) == []
