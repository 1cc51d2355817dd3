# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds guest programs from C and assembly: the compiler's flags, the SDK that they are linked with, one call.

setup.py runs this file by itself for the flags, before the package is built: so at the top it imports nothing of it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

CODE_FLAGS: Final = (
    *("-m32", "-march=i686", "-mno-sse", "-mno-mmx", "-mno-80387", "-std=gnu11", "-O2"),
    *("-ffreestanding", "-nostdlib", "-fno-pic", "-no-pie", "-fno-stack-protector", "-fcf-protection=none"),
    *("-fno-asynchronous-unwind-tables", "-Wl,--build-id=none"),
)
WARNING_FLAGS: Final = ("-Wall", "-Wextra")
SDK_SOURCES: Final = ("lib", "sdk")  # folders whose files are linked to every program
SDK_INCLUDES: Final = ("lib", "include")
LINK_SCRIPT: Final = "lib/link.ld"
PACKAGED: Final = Path(__file__).parent / "sdk"  # in a wheel
IN_TREE: Final = Path(__file__).parents[3] / "guest"


def compiler() -> str:
    """The command that is called: GUEST_CC, or gcc."""
    return os.environ.get("GUEST_CC", "gcc")


def sdk_folder() -> Path:
    """Where the guest library and the SDK lie: folders include, lib and sdk."""
    return PACKAGED if PACKAGED.is_dir() else IN_TREE


def link_program(sources: Sequence[Path | str], output: Path | str, *, include: Sequence[Path | str] = ()) -> Path:
    """Compile sources (.c, .S) and link them with the guest library and the SDK to an ELF file; returns output.

    int main(const char *command_line) is where a program starts (guest/lib/guest.h); its folders and those of include
    are searched for headers. Raises ImageError, with all that the compiler said as a note.
    """
    from hyperport.errors import ImageError

    sdk = sdk_folder()
    library = [path for folder in SDK_SOURCES for path in sorted((sdk / folder).glob("*.[cS]"))]
    if not library:
        raise ImageError(f"the SDK is not in {sdk}: install hyperport again, or work in its source tree")
    folders = [*(sdk / folder for folder in SDK_INCLUDES), *include]
    command = [
        *(compiler(), *CODE_FLAGS, *WARNING_FLAGS, "-g"),
        *(f"-I{folder}" for folder in folders),
        *("-ffunction-sections", f"-Wl,-T,{sdk / LINK_SCRIPT},--gc-sections"),
        *("-o", str(output), *map(str, [*library, *sources])),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    except OSError as error:
        raise ImageError(
            f"guest program: {command[0]}: {error.strerror}: install gcc or name one in GUEST_CC"
        ) from None
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if "error:" in line or "undefined reference" in line]
        failure = ImageError(
            f"guest program {Path(sources[0]).name}: {command[0]} failed: {said[0] if said else 'see below'}"
        )
        failure.add_note(done.stderr)
        raise failure
    return Path(output)
