# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, Final

import pytest

from hyperport import HaltedForever, Machine
from hyperport.boot import bios_state, e820
from hyperport.boot.bios_state import BDA, TICKS_AT, Equipment, data_area, write_memory
from hyperport.memory.ram import GuestMemory
from hyperport.time.clock import VirtualClock

from ..conftest import LIMIT_S, MIB, machine_code

POINTERS: Final = (0x1D, 0x1F, 0x41, 0x46)  # to tables of which there are none
IRET: Final = 0xCF
SERVICES: Final = """\
    fb          ; sti
    cd 12       ; int 12h        memory
    89 c5       ; mov bp, ax
    cd 11       ; int 11h        equipment
    89 c6       ; mov si, ax
    b4 02       ; mov ah, 2
    cd 13       ; int 13h        no such service
    19 ff       ; sbb di, di
    88 e3       ; mov bl, ah
    b4 00       ; mov ah, 0
    cd 1a       ; int 1ah
    83 c2 03    ; add dx, 3
    b7 00       ; mov bh, 0
    f4          ; 1: hlt         three ticks, and no other interrupt
    89 16 00 70 ; mov [0x7000], dx
    b4 00       ; mov ah, 0
    cd 1a       ; int 1ah
    3b 16 00 70 ; cmp dx, [0x7000]
    8b 16 00 70 ; mov dx, [0x7000]
    72 ed       ; jb 1b
    fa f4       ; cli; hlt
    """


def word(memory: Any, address: int) -> int:
    found: int = struct.unpack("<H", memory.read(address, 2))[0]
    return found


def real_mode(folder: Path, listing: str, **options: Any) -> Machine:
    image = folder / "guest.bin"
    image.write_bytes(machine_code(listing))
    return Machine(kernel=image, flat="0x7c00,real", engine="unicorn", memory=2 * MIB, **options)


def test_each_vector_has_a_handler_that_returns() -> None:
    memory = GuestMemory(MIB)
    write_memory(memory, Equipment())
    for number in range(256):
        offset, segment = struct.unpack("<2H", memory.read(number * 4, 4))
        if number in POINTERS:
            assert (segment, offset) == (0, 0)
            continue
        assert segment << 4 == e820.BIOS
        code = memory.read(e820.BIOS + offset, 64)
        assert number == 0x1E or IRET in code  # 1Eh is a table as well


def test_the_data_area_tells_of_the_equipment() -> None:
    area = data_area(Equipment([0x3F8, 0x2F8], [0x378], floppies=2, disks=3, time_of_day_s=3600))
    assert struct.unpack_from("<5H", area) == (0x3F8, 0x2F8, 0, 0, 0x378)
    assert struct.unpack_from("<H", area, 0x10) == (0b01_00_010_0_01_10_0_1_1_1,)
    assert struct.unpack_from("<H", area, 0x0E)[0] << 4 == e820.EBDA
    assert area[0x75] == 3
    assert struct.unpack_from("<I", area, 0x6C) == (65543,)  # 18.2065 a second


@pytest.mark.parametrize("again", [False, True])
def test_a_guest_in_real_mode_uses_it(again: bool, tmp_path: Path) -> None:
    """Interrupt 08h comes 18.2 times a second by the controllers' vectors, and counts; the same after a reset."""
    clock = VirtualClock()
    with real_mode(tmp_path, SERVICES, clock=clock) as machine:
        if again:
            machine.memory.write(0, bytes(0x500))
            machine.bus.outp(0x21, 1, 0xFF)
            machine.reset()
        began, ticks = clock.now_ns(), struct.unpack("<I", machine.memory.read(TICKS_AT, 4))[0]
        assert isinstance(machine.run(timeout=LIMIT_S), HaltedForever)
        state = machine.engine.state()
        assert state.ebp & 0xFFFF == 639
        assert state.esi & 0xFFFF == word(machine.memory, BDA + 0x10) == 0x0226  # COM1, a mouse, an FPU, no floppy
        assert (state.edi & 0xFFFF, state.ebx & 0xFF) == (0xFFFF, 0x86)
        assert struct.unpack("<I", machine.memory.read(TICKS_AT, 4))[0] - ticks == 4  # one has waited for STI
        periods = (clock.now_ns() - began) * bios_state.PIT_HZ / 65536e9
        assert periods == pytest.approx(3, abs=0.01)
        assert [machine.bus.inp(port) for port in (0x21, 0xA1)] == [0xB8, 0x8E]


def test_a_jump_to_the_reset_vector_resets(tmp_path: Path) -> None:
    with real_mode(tmp_path, "ea f0 ff 00 f0 ; jmp f000:fff0") as machine:
        assert str(machine.run(timeout=LIMIT_S)) == "the guest reset the machine"
