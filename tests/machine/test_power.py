# SPDX-License-Identifier: GPL-2.0-or-later
"""Starting by firmware, and starting again: boot sectors that reset the machine in every way there is.

Run with SeaBIOS, which is fetched where the host has none; else these tests are skipped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest

from hyperport import (
    ConfigError,
    FetchError,
    GuestExit,
    ImageError,
    Machine,
    MemoryBackend,
    Outcome,
    Reset,
    Timeout,
    TripleFault,
)
from hyperport.boot.firmware import TOP
from hyperport.guests import firmware
from hyperport.guests.registry import locate
from hyperport.lines.attention import Pulled

from ..conftest import MIB, machine_code

BOOT_S: Final = 60
FLOPPY: Final = 1440 << 10
RESETS: Final = {
    "8042": "b0 fe  e6 64",  # mov $0xfe, %al; out %al, $0x64
    "port 92h": "b0 03  e6 92",
    "port CF9h, hard": "ba f9 0c  b0 02  ee  b0 06  ee",
    "port CF9h, soft": "ba f9 0c  b0 04  ee",
    "jump": "ea 00 00 ff ff",  # ljmp $0xffff, $0: the reset vector below 1 MiB
}
TRIPLE_FAULT: Final = "0f 01 1e f0 7d  cc"  # lidt 0x7df0, of limit 0; int3


def boot_sector(reset: str) -> bytes:
    """Counts its starts in CMOS 50h: resets in the first, ends with exit value 2 in the second."""
    code = machine_code(
        f"""
        31 c0  8e d8                ; xor %ax, %ax; mov %ax, %ds
        b0 50  e6 70  e4 71  40     ; mov $0x50, %al; out %al, $0x70; in $0x71, %al; inc %ax
        88 c3                       ; mov %al, %bl
        b0 50  e6 70  88 d8  e6 71  ; store it
        80 fb 02  73 1a             ; cmp $2, %bl; jae done
        {(machine_code(reset) + bytes([0x90] * 24))[:24].hex()}
        eb fe                       ; hang: jmp hang
        88 d8  e6 f4  eb f8         ; done: mov %bl, %al; out %al, $0xf4; jmp hang
        """
    )
    return code.ljust(510, b"\0") + b"\x55\xaa"


@pytest.fixture(scope="session")
def seabios() -> None:
    try:
        firmware.find()
    except FetchError as error:
        pytest.skip(str(error))


def start(folder: Path, sector: bytes, **options: Any) -> Outcome:
    """Run a floppy with this boot sector to its end."""
    image = folder / "floppy.img"
    image.write_bytes(sector.ljust(FLOPPY, b"\0"))
    with Machine(image=image, memory=4 * MIB, engine="unicorn", **options) as machine:
        return machine.run(timeout=BOOT_S)


@pytest.mark.usefixtures("seabios")
@pytest.mark.parametrize("way", RESETS)
def test_a_reset_goes_on_with_firmware(tmp_path: Path, way: str) -> None:
    assert start(tmp_path, boot_sector(RESETS[way])) == GuestExit(2)


@pytest.mark.usefixtures("seabios")
@pytest.mark.parametrize("io", ["trap", "hypercall"])
def test_a_reset_goes_on_on_every_path(tmp_path: Path, io: str) -> None:
    assert start(tmp_path, boot_sector(RESETS["8042"]), io=io) == GuestExit(2)


@pytest.mark.usefixtures("seabios")
def test_a_reset_may_end_the_run(tmp_path: Path) -> None:
    assert start(tmp_path, boot_sector(RESETS["port CF9h, hard"]), no_reboot=True) == Reset()


@pytest.mark.usefixtures("seabios")
def test_a_triple_fault_ends_the_run_or_resets(tmp_path: Path) -> None:
    assert isinstance(start(tmp_path, boot_sector(TRIPLE_FAULT)), TripleFault)
    assert start(tmp_path, boot_sector(TRIPLE_FAULT), triple_fault="reset") == GuestExit(2)


@pytest.mark.usefixtures("seabios")
def test_the_shutdown_byte_is_obeyed_and_memory_stays(tmp_path: Path) -> None:
    sector = machine_code(
        """
        31 c0  8e d8                    ; xor %ax, %ax; mov %ax, %ds
        b0 0f  e6 70  b0 0a  e6 71      ; CMOS 0Fh = 0Ah: jump by 40h:67h, without an EOI
        66 c7 06 67 04 80 7c 00 00      ; movl $0x7c80, 0x467
        c7 06 00 06 34 12               ; movw $0x1234, 0x600
        b0 fe  e6 64  eb fe             ; reset by the 8042
        """
    ).ljust(0x80, b"\0") + machine_code("31 c0  8e d8  a1 00 06  e7 f4  eb fe")  # out 0x600, $0xf4
    assert start(tmp_path, sector.ljust(510, b"\0") + b"\x55\xaa") == GuestExit(0x1234)


@pytest.mark.usefixtures("seabios")
def test_a_saved_machine_has_its_firmware_and_its_floppy(tmp_path: Path) -> None:
    """Saved while the first start hangs; the restored one is reset, and starts from the floppy a second time."""
    image = tmp_path / "floppy.img"
    image.write_bytes(boot_sector("eb fe").ljust(FLOPPY, b"\0"))
    with Machine(image=image, memory=4 * MIB, engine="unicorn") as machine:
        for _ in range(BOOT_S):
            machine.run(timeout=1)
            machine.bus.outp(0x70, 1, 0x50)
            if machine.bus.inp(0x71, 1) == 1:
                break
        machine.save(tmp_path / "saved")
    with Machine.restore(tmp_path / "saved") as machine:
        assert isinstance(machine.run(timeout=0.2), Timeout)
        machine.reset()
        assert machine.run(timeout=BOOT_S) == GuestExit(2)


def test_a_kernel_ends_with_a_reset_or_starts_again() -> None:
    guest = locate("outcome")
    for reboot, outcome in ((False, Reset()), (True, Timeout(1))):
        console = MemoryBackend()
        with Machine(
            kernel=guest.kernel,
            append="reset8042",
            memory=guest.memory,
            engine="unicorn",
            serial=console,
            reboot=reboot,
        ) as machine:
            assert machine.run(timeout=1) == outcome


@pytest.mark.parametrize("io", ["exit", "hypercall"])
def test_a_kernel_that_starts_again_finds_empty_memory_and_kept_cmos(tmp_path: Path, io: str) -> None:
    """Its first start stores a mark in RAM and counts in CMOS; its second finds the count and no mark."""
    kernel = tmp_path / "kernel.bin"
    kernel.write_bytes(
        machine_code(
            """
            b0 50  e6 70  e4 71         ; mov $0x50, %al; out %al, $0x70; in $0x71, %al
            84 c0  75 13                ; test %al, %al; jnz second
            40  e6 71                   ; inc %eax; out %al, $0x71
            c6 05 00 00 02 00 55        ; movb $0x55, 0x20000
            b0 fe  e6 64  eb fe         ; reset
            90 90 90
            02 05 00 00 02 00           ; second: add 0x20000, %al
            e6 f4  eb fe                ; out %al, $0xf4
            """
        )
    )
    with Machine(
        kernel=kernel, flat=(0x10000, "protected"), memory=2 * MIB, engine="unicorn", io=io, reboot=True
    ) as machine:
        assert machine.run(timeout=10) == GuestExit(1)


def test_reset_from_python(tmp_path: Path) -> None:
    kernel = tmp_path / "kernel.bin"
    kernel.write_bytes(machine_code("b0 07  e6 f4  eb fe"))
    with Machine(kernel=kernel, flat=(0x10000, "protected"), memory=2 * MIB, engine="unicorn") as machine:
        for line in (Pulled.BOARD, Pulled.CPU):
            assert machine.run(timeout=10) == GuestExit(7)
            machine.reset(line)
        assert machine.run(timeout=10) == GuestExit(7)
    with Machine(memory=2 * MIB) as machine, pytest.raises(ConfigError, match="neither firmware nor a kernel"):
        machine.reset()


def test_where_a_firmware_lies_and_where_it_begins(tmp_path: Path) -> None:
    """A BIOS of ours: at its first instruction it jumps to its copy below 1 MiB, and writes there."""
    rom = bytearray(b"\xa5" * (64 << 10))
    rom[0xFFF0:0xFFF5] = bytes.fromhex("ea 00 00 00 f0")  # ljmp $0xf000, $0
    rom[0:12] = bytes.fromhex("0e 1f  fe 06 00 10  a0 00 10  e6 f4  f4")  # incb 0x1000; its value is the exit's
    bios = tmp_path / "bios.bin"
    bios.write_bytes(rom)
    with Machine(bios=bios, memory=2 * MIB, engine="unicorn") as machine:
        state = machine.engine.state()
        assert (state.cs.base, state.eip, state.edx) == (0xFFFF0000, 0xFFF0, 0x663)
        assert machine.run(timeout=10) == GuestExit(0xA6)  # the copy can be written
        assert machine.memory.read(0xF0000 + 0x1000, 1) == b"\xa6"
        region = next(region for region in machine.memory.map.regions() if region.name == "bios")
        assert (region.base, region.kind) == (TOP - len(rom), "rom")
        assert region.read(0x1000, 1) == b"\xa5"
        machine.reset(Pulled.CPU)
        assert machine.run(timeout=10) == GuestExit(0xA7)  # and stays as it is
        machine.reset(Pulled.BOARD)
        assert machine.run(timeout=10) == GuestExit(0xA6)


@pytest.mark.parametrize("size", [0, 1000, 96 << 10])
def test_a_firmware_of_another_size_is_refused(tmp_path: Path, size: int) -> None:
    bios = tmp_path / "bios.bin"
    bios.write_bytes(bytes(size))
    with pytest.raises(ImageError, match="a BIOS has a multiple of 64 KiB"):
        Machine(bios=bios, memory=2 * MIB)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"boot": "a"}, "--boot is for firmware"),
        ({"screen_on_serial": True}, "--screen-on-serial is for firmware"),
        ({"reboot": True, "no_reboot": True}, "give one of the two"),
        ({"boot": "an", "bios": "seabios"}, "no boot ROM for the network"),
        ({"boot": "aa", "bios": "seabios"}, "write letters, each once"),
        ({"boot": "", "bios": "seabios"}, "write letters, each once"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Machine(memory=2 * MIB, **options)
