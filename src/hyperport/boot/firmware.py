# SPDX-License-Identifier: GPL-2.0-or-later
"""Firmware: where its ROM lies, what it is told of the machine, and the state in which the CPU enters it.

The ROM lies below 4 GiB, where the CPU starts (SDM vol. 3, 9.1.4). Its last 128 KiB also lie below 1 MiB, as a copy in
RAM: an ISA PC without a chipset of Intel's has no switch between ROM and "shadow RAM" there, and firmware that finds
none goes on as if it had thrown it. SeaBIOS keeps variables there. RESET of the board copies anew; the CPU's own reset
does not, so that a firmware finds what it has left. See docs/decisions/0045-firmware.md.

What it is told: CMOS bytes, of which the clock has most, and the items of fw_cfg.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hyperport.boot import e820, smbios
from hyperport.boot.layout import open_regular
from hyperport.devices.fw_cfg import SELECTORS
from hyperport.errors import ImageError
from hyperport.memory.ram import GuestMemory

TOP: Final = 1 << 32
STEP: Final = 64 << 10  # images are of whole segments
LARGEST: Final = 16 << 20
LOW_COPY: Final = 128 << 10  # below 1 MiB
VGA_BIOS: Final = 0xC0000
NO_MP_TABLE: Final = 256  # CPUs at most: for more than 255 SeaBIOS leaves no MP table, which would name an I/O APIC
VGA_BIOS_LARGEST: Final = 64 << 10
OPTION_ROM: Final = b"\x55\xaa"

# Boot order, as in CMOS 38h and 3Dh: a nibble for each of the first three.
DEVICES: Final = {"a": 1, "c": 2, "d": 3}  # floppy, hard disk, CD-ROM
ORDER: Final = "cad"
BOOT_THIRD: Final = 0x38  # bits 7 to 4; bit 0: start a floppy without looking for its signature
BOOT_FIRST: Final = 0x3D  # bits 3 to 0, and the second in bits 7 to 4
NO_SIGNATURE: Final = 0x01
# How each of four disks is translated, two bits each, and from which size on the cylinders of IDENTIFY are too many.
TRANSLATION: Final = 0x39
BY_LBA: Final = 1
MOST_UNTRANSLATED: Final = 1024 * 16 * 63  # sectors that INT 13h reaches with the disk's own geometry


@dataclass(frozen=True, slots=True)
class Firmware:
    """bios: what lies below 4 GiB. vga: an option ROM for the screen, or nothing. screen_on: port of a serial line that
    shows the text of the screen as well, or 0; SeaBIOS can.
    """

    bios: bytes
    vga: bytes = b""
    screen_on: int = 0

    def map(self, memory: GuestMemory) -> None:
        """Put the ROM below 4 GiB; once in a machine's life."""
        region = memory.map.rom("bios", TOP - len(self.bios), len(self.bios))
        region.write(0, self.bios)

    def copy(self, memory: GuestMemory) -> None:
        """What RESET leaves below 1 MiB: the ROM, and before it the VGA's where others look for it."""
        low = self.bios[-LOW_COPY:]
        memory.write(VGA_BIOS, bytes(e820.HIGH - len(low) - VGA_BIOS))
        memory.write(VGA_BIOS, self.vga)
        memory.write(e820.HIGH - len(low), low)

    def items(self, ram: int) -> dict[int, bytes]:
        """Items of fw_cfg by number: one CPU, no menu, and so many bytes of RAM."""
        return {
            SELECTORS["ram_size"]: struct.pack("<Q", ram),
            SELECTORS["nb_cpus"]: struct.pack("<H", 1),
            SELECTORS["max_cpus"]: struct.pack("<H", NO_MP_TABLE),
            SELECTORS["boot_menu"]: struct.pack("<H", 0),
        }

    def files(self, ram: int) -> dict[str, bytes]:
        """Files of fw_cfg by name. etc/e820: address, size and kind of each range that firmware may give away."""
        found = {"etc/e820": struct.pack("<QQI", 0, ram, e820.RAM)} | smbios.files()
        if self.vga:
            found["vgaroms/vgabios.bin"] = self.vga
        if self.screen_on:
            found["etc/sercon-port"] = struct.pack("<Q", self.screen_on)
        return found


def read_firmware(bios: Path | str, vga: Path | str | None, screen_on: int = 0) -> Firmware:
    """The files. Raises ImageError for one that is no firmware."""
    with open_regular(bios, "firmware") as file:
        image = file.read(LARGEST + 1)
    if not image or len(image) % STEP or len(image) > LARGEST:
        raise ImageError(
            f"firmware {bios}: {len(image)} bytes; a BIOS has a multiple of 64 KiB, at most {LARGEST >> 20} MiB"
        )
    rom = b""
    if vga is not None:
        with open_regular(vga, "VGA BIOS") as file:
            rom = file.read(VGA_BIOS_LARGEST + 1)
        if not rom.startswith(OPTION_ROM) or len(rom) > VGA_BIOS_LARGEST:
            raise ImageError(f"VGA BIOS {vga}: no option ROM of at most 64 KiB: it begins without 55h AAh")
    return Firmware(image, rom, screen_on)


def setup(order: str, disks: Sequence[int]) -> dict[int, int]:
    """CMOS bytes that a firmware's setup stores: the boot order, and how disks of so many sectors are translated."""
    first, second, third = ([DEVICES[letter] for letter in order] + [0, 0, 0])[:3]
    translated = sum(BY_LBA << 2 * place for place, size in enumerate(disks) if size > MOST_UNTRANSLATED)
    return {
        BOOT_THIRD: third << 4 | NO_SIGNATURE,
        BOOT_FIRST: second << 4 | first,
        TRANSLATION: translated,
    }
