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
        assert number in (0x18, 0x19, 0x1E) or IRET in code  # reset; 1Eh is a table as well


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


@pytest.mark.parametrize("way", ["ea f0 ff 00 f0 ; jmp f000:fff0", "cd 18 ; int 18h", "cd 19 ; int 19h"])
def test_a_jump_to_the_reset_vector_resets(way: str, tmp_path: Path) -> None:
    with real_mode(tmp_path, way) as machine:
        assert str(machine.run(timeout=LIMIT_S)) == "the guest reset the machine"


def listing_ends(folder: Path, listing: str) -> Any:
    """The state of the vCPU when a listing in real mode has halted for ever; nothing is in service then."""
    with real_mode(folder, listing, clock=VirtualClock()) as machine:
        assert isinstance(machine.run(timeout=LIMIT_S), HaltedForever)
        for port in (0x20, 0xA0):
            machine.bus.outp(port, 1, 0x0B)  # reads give what is in service
            assert machine.bus.inp(port) == 0
        return machine.engine.state()


def test_a_spurious_interrupt_ends_no_other(tmp_path: Path) -> None:
    """As if IRQ 7 came and were gone, while IRQ 0 is in service: it stays so."""
    listing = """\
        c7 06 70 00 10 7c   ; movw 1f, 0x70     INT 1Ch
        c7 06 72 00 00 00   ; movw 0, 0x72
        fb f4 fa f4         ; sti; hlt; cli; hlt
        cd 0f               ; 1: int 0xf
        b0 0b e6 20 e4 20   ; mov al, 0xb; out 0x20, al; in al, 0x20
        88 c3 cf            ; mov bl, al; iret
        """
    assert listing_ends(tmp_path, listing).ebx & 0xFF == 0x01


def test_the_mouses_byte_is_taken(tmp_path: Path) -> None:
    """Or the output buffer would stay full, and the keyboard silent."""
    listing = """\
        b0 60 e6 64 b0 47 e6 60 ; command byte: both interrupts, translation
        b0 d3 e6 64 b0 5a e6 60 ; a byte as from the mouse
        fb 90 90 fa             ; sti; nop; nop; cli
        e4 64 88 c3 f4          ; in al, 0x64; mov bl, al; hlt
        """
    assert listing_ends(tmp_path, listing).ebx & 0x01 == 0


def test_errors_of_the_fpu_come_by_int_02h(tmp_path: Path) -> None:
    listing = """\
        c7 06 08 00 10 7c   ; movw 1f, 8
        c7 06 0a 00 00 00   ; movw 0, 0xa
        cd 75 fa f4         ; int 0x75; cli; hlt
        43 cf               ; 1: inc bx; iret
        """
    assert listing_ends(tmp_path, listing).ebx & 0xFFFF == 1


def test_no_key_waits_and_the_time_is_told_without_carry(tmp_path: Path) -> None:
    listing = """\
        b4 01 cd 16         ; mov ah, 1; int 0x16
        9f 88 e3            ; lahf; mov bl, ah
        f9 b4 00 cd 1a      ; stc; mov ah, 0; int 0x1a
        19 ff fa f4         ; sbb di, di; cli; hlt
        """
    state = listing_ends(tmp_path, listing)
    assert (state.ebx & 0x40, state.edi & 0xFFFF) == (0x40, 0)
