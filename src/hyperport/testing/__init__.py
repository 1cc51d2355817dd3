# SPDX-License-Identifier: GPL-2.0-or-later
"""For tests of drivers and devices: machines to script, guests from C source, and a fuzzer. See docs/testing.md.

The fixtures are in pytest_hyperport.py, beside this package; nothing here needs pytest.
"""

from hyperport.guests.toolchain import link_program
from hyperport.testing.fuzz import FuzzError, FuzzResult, Subject, alone, board, fuzz
from hyperport.testing.guest_machine import ExpectError, GuestMachine

__all__ = [
    "ExpectError",
    "FuzzError",
    "FuzzResult",
    "GuestMachine",
    "Subject",
    "alone",
    "board",
    "fuzz",
    "link_program",
]
