# SPDX-License-Identifier: GPL-2.0-or-later
"""hyperport cc: build a guest program with the SDK. guests/toolchain.py has the compiler and its flags."""

from __future__ import annotations

from pathlib import Path

from hyperport.errors import ImageError, UsageError
from hyperport.guests.toolchain import link_program
from hyperport.host.files import check_destination
from hyperport.host.notes import tell

SOURCES = (".c", ".S")


def cc(*sources: str, output: str | None = None, include: tuple[str, ...] = ()) -> None:
    """Compile sources and link them with the guest library and the SDK; by default to the first one's name + .elf."""
    for source in sources:
        if Path(source).suffix not in SOURCES:
            raise UsageError(f"cc: {source}: give C files (.c) or assembly (.S)")
        if not Path(source).is_file():
            raise ImageError(f"cc: {source}: no such file")
    target = Path(output) if output else Path(sources[0]).with_suffix(".elf")
    if target in map(Path, sources):
        raise UsageError(f"cc: {target} is a source; give another --output")
    check_destination(target, "cc")
    try:
        link_program(sources, target, include=include)
    except ImageError as error:
        for said in getattr(error, "__notes__", ()):
            tell(said.rstrip("\n"))
        raise
