# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether hyperport can run on this host. setup.py runs this file by itself, so it imports nothing of the package.

Unicorn's x86-64 code is patched in memory, and KVM runs i386 guests on x86 only. The wheels, Unicorn's too, are for
glibc.
"""

from __future__ import annotations

import os
import sys


def unsupported() -> str | None:
    """One line on what is wrong with this host; None if nothing is."""
    machine = os.uname().machine if hasattr(os, "uname") else "another machine"
    bits = 64 if sys.maxsize > 1 << 32 else 32
    if (sys.platform, machine, bits) != ("linux", "x86_64", 64):
        here = f"{sys.platform} on {machine} with a {bits}-bit Python"
    elif not _has_glibc():
        here = "a Linux with another C library"
    else:
        return None
    return f"hyperport runs on Linux on x86-64 with glibc and a 64-bit Python; this is {here}"


def _has_glibc() -> bool:
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except ValueError:  # the name is glibc's own
        return False
