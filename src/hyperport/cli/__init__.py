# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line: main.py, and one file per verb.

Ctrl-C in the middle of an import is quiet: in a process of ours SIGINT ends it by itself, from the first import on.
main.py takes it back before a verb begins.
"""

import signal
import sys

OUR_PROGRAM = ("-m", "hyperport", "hyperport/__main__.py")  # how sys.argv[0] ends while we are what is run

if "".join(sys.argv[:1]).endswith(OUR_PROGRAM) and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
