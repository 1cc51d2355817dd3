# SPDX-License-Identifier: GPL-2.0-or-later
from hyperport.memory.ram import GuestMemory

def translate(
    memory: GuestMemory, cr0: int, cr3: int, cr4: int, efer: int, linear: int, access: int = 0
) -> tuple[int | None, int | None]: ...
