# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether hyperport can run on this host. setup.py runs this file by itself, so it imports nothing of the package.

Unicorn's x86-64 code is patched in memory, and KVM runs i386 guests on x86 only. The wheels, Unicorn's too, are for
glibc.
"""

from __future__ import annotations

import os
import platform
import sys


def unsupported() -> str | None:
    """One line on what is wrong with this host; None if nothing is."""
    bits = 64 if sys.maxsize > 1 << 32 else 32
    if sys.platform == "linux" and platform.machine() == "x86_64" and bits == 64:
        if _has_glibc():
            return None
        here = "this Linux has another C library"
    else:
        here = f"this is {platform.system()} on {platform.machine()} with a {bits}-bit Python"
    return f"hyperport runs on Linux on x86-64 with glibc and a 64-bit Python: {here}"


def _has_glibc() -> bool:
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except ValueError:  # the name is glibc's own
        return False
