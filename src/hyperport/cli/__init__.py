# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line: main.py, and one file per verb.

Ctrl-C in the middle of an import is quiet: in a process of ours SIGINT ends it by itself, from the first import on.
main.py takes it back before a verb begins.

The collector of cycles rests meanwhile: what an import makes stays, and looking through it was a tenth of the time that
the command takes to start.
"""

import gc
import signal
import sys

OUR_PROGRAM = ("-m", "hyperport", "hyperport/__main__.py")  # how sys.argv[0] ends while we are what is run

OURS = "".join(sys.argv[:1]).endswith(OUR_PROGRAM)


def collect_from_here() -> None:
    """What there is now stays to the end of the process; cycles that are made from here on are collected."""
    if OURS and not gc.isenabled():
        gc.freeze()
        gc.enable()


if OURS:
    gc.disable()
if OURS and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
