# SPDX-License-Identifier: GPL-2.0-or-later
"""Our side of images.py, with as few imports as a user's process: starts an image of the gallery, and ends with status
0 when a text is on its screen, or on its console.

python bench/image_child.py NAME screen|console SECONDS TEXT
"""

from __future__ import annotations

import sys
import threading
import time

from hyperport import Machine, MemoryBackend, Quit, StopKind
from hyperport.guests.registry import locate

POLL_S = 0.1


def main(name: str, where: str, seconds: str, text: str) -> None:
    console = MemoryBackend()
    with Machine(**locate(name).settings(), serial=console, engine="unicorn") as machine:

        def shown() -> bool:
            return text in (
                console.output().decode(errors="replace") if where == "console" else "".join(machine.display.text())
            )

        def watch() -> None:
            while not shown():
                time.sleep(POLL_S)
            machine.request_stop(StopKind.QUIT)

        threading.Thread(target=watch, daemon=True).start()
        outcome = machine.run(timeout=float(seconds))
        sys.exit(0 if outcome == Quit() or shown() else 1)


main(*sys.argv[1:])
