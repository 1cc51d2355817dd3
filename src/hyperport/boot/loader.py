# SPDX-License-Identifier: GPL-2.0-or-later
"""Which loader an image is for, and the call that loads it. A loader is imported for its own images only."""

from __future__ import annotations

from collections.abc import Sequence
from os import SEEK_END
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hyperport.boot.layout import HEAD, open_regular
from hyperport.errors import ImageError

if TYPE_CHECKING:
    from hyperport.cpu.state import CpuState
    from hyperport.memory.ram import GuestMemory

Kind = Literal["linux", "multiboot", "flat"]


def detect(image: bytes) -> Kind:
    """Which loader an image is for; its first 8 KiB are enough."""
    from hyperport.boot.linux import is_linux

    if is_linux(image):
        return "linux"
    from hyperport.boot.multiboot import find_header

    if find_header(image) is not None:
        return "multiboot"
    return "flat"


def load(
    memory: GuestMemory,
    kernel: Path | str,
    *,
    initrd: Path | str | None = None,
    append: str = "",
    modules: Sequence[tuple[Path | str, str]] = (),
    flat: tuple[int, str] | None = None,
    subarch: int = 0,
) -> CpuState:
    """Load kernel with the loader its header asks for; flat: (address, mode) loads it as it is.

    subarch: hardware_subarch of the Linux boot parameters; no other protocol has a place for it.
    Raises ImageError, also for an option that this kind of image has no use for.
    """
    kernel, initrd = Path(kernel), None if initrd is None else Path(initrd)
    modules = [(Path(file), arguments) for file, arguments in modules]
    if flat is not None:
        from hyperport.boot.flat import load_flat

        _refuse(kernel, "a flat image", initrd=initrd, append=append, module=modules)
        address, mode = flat
        return load_flat(memory, kernel, address=address, mode="real" if mode == "real" else "protected")
    with open_regular(kernel, "kernel") as file:
        head = file.read(HEAD)
        size = file.seek(0, SEEK_END)
    if not head:
        raise ImageError(f"kernel {kernel}: the file is empty; give another")
    kind = detect(head)
    if kind == "linux":
        from hyperport.boot.linux import load_linux

        _refuse(kernel, "a Linux kernel", module=modules)
        return load_linux(memory, kernel, initrd=initrd, append=append, subarch=subarch)
    if kind == "multiboot":
        from hyperport.boot.multiboot import load_multiboot

        _refuse(kernel, "a multiboot kernel", initrd=initrd)
        return load_multiboot(memory, kernel, append=append, modules=modules)
    from hyperport.boot.naming import describe

    raise ImageError(f"kernel {kernel}: {describe(head, size)}")


def _refuse(kernel: Path, what: str, **options: object) -> None:
    for name, value in options.items():
        if value:
            raise ImageError(f"kernel {kernel}: {what} takes no --{name}; leave it out")
