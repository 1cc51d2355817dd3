# SPDX-License-Identifier: GPL-2.0-or-later
"""Raw images: the file's bytes at an address, entered at its first byte, in real or protected mode."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from hyperport.boot import e820
from hyperport.boot.layout import CODE_SELECTOR, DATA_SELECTOR, Layout, read_file
from hyperport.cpu.state import CpuState, protected_flat, real_mode
from hyperport.errors import ImageError
from hyperport.memory.ram import GuestMemory

SEGMENT: Final = 0x10000  # bytes that a real-mode segment reaches
LIMIT: Final = 1 << 32

Mode = Literal["real", "protected"]


def load_flat(memory: GuestMemory, image: Path | str, *, address: int, mode: Mode) -> CpuState:
    """Put a raw image at a physical address; the processor's state at its first byte.

    real: below 64 KiB cs is 0 and ip the address, as a boot sector at 0x7C00 expects; above, cs is the address's
    paragraph and ip the rest. ss, ds and es are cs; sp is the image's start if cs is 0, else the segment's end.
    protected: flat segments without paging, a GDT in free conventional memory, esp at the end of RAM.
    Raises ImageError, one line, if the image does not fit.
    """
    name = f"image {image}"
    if mode not in ("real", "protected"):
        raise ImageError(f"{name}: mode {mode!r} is not known; give real or protected")
    data = read_file(image, "image", memory.size)
    if not 0 <= address < LIMIT:
        raise ImageError(f"{name}: address {address:#x} is outside 4 GiB; give one in RAM")
    if mode == "real" and address >= e820.HIGH:
        raise ImageError(f"{name}: real mode reaches no address {address:#x}; give one below 0xa0000 or protected mode")
    layout = Layout(memory)
    layout.claim(address, address + len(data), name)
    memory.write(address, data)
    if mode == "real":
        cs = 0 if address < SEGMENT else address >> 4
        return real_mode(cs=cs, ip=address - (cs << 4), data=cs, sp=address if cs == 0 else 0)
    state = protected_flat(eip=address, code=CODE_SELECTOR, data=DATA_SELECTOR, gdtr=layout.put_gdt())
    state.esp = layout.windows[-1][1]
    return state
