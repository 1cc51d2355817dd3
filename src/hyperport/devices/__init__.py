# SPDX-License-Identifier: GPL-2.0-or-later
"""The chips, one file each. CHIPS and PARTS name them all; the contract tests run over these tables."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from hyperport.lines.irq import IrqLine

if TYPE_CHECKING:
    from hyperport.lines.attention import Attention
    from hyperport.time.clock import Clock

    Factory = Callable[[Attention, Clock], Any]


def _chip(module: str, class_name: str, *wires: str) -> Factory:
    """A factory that imports the chip only when one is made. wires: what its constructor cannot do without."""

    def make(attention: Attention, clock: Clock) -> Any:
        given = {"attention": attention, "clock": clock, "irq": IrqLine()}
        chip = getattr(import_module(f"{__name__}.{module}"), class_name)
        return chip(*(given[wire] for wire in wires))

    return make


def _dma(_attention: Attention, _clock: Clock) -> Any:
    """The DMA controllers with 1 MiB to move from and to."""
    memory, ram = import_module("hyperport.memory.dma"), import_module("hyperport.memory.ram")
    return import_module(f"{__name__}.dma8237").Dma8237(memory.DmaView(ram.GuestMemory(1 << 20)))


def _floppies(_attention: Attention, clock: Clock) -> Any:
    """A floppy controller with a medium of 80 cylinders in drive A, and an empty drive B. Its DMA ends in the air."""
    disk, drive, fdc = (
        import_module(name) for name in ("hyperport.host.disk", f"{__name__}.floppy_drive", f"{__name__}.fdc82077")
    )
    medium = disk.MemoryDisk(80 * 2 * 18 * disk.SECTOR_BYTES)
    return fdc.Fdc82077(clock, IrqLine(), (drive.FloppyDrive(4, medium, (80, 2, 18, 0)), drive.FloppyDrive(4)))


def _ide_channel(_attention: Attention, _clock: Clock) -> Any:
    """An IDE channel with a hard disk and a CD-ROM drive, small and of zeros."""
    disk, ide, ata, atapi = (
        import_module(name)
        for name in ("hyperport.host.disk", *(f"{__name__}.{file}" for file in ("ide", "ata_drive", "atapi_cdrom")))
    )
    hard_disk = ata.AtaDrive(disk.MemoryDisk(300 * disk.SECTOR_BYTES))
    return ide.IdeChannel(IrqLine(), hard_disk, atapi.AtapiCdrom(disk.MemoryDisk(80 * 2048, writable=False)))


def _vga(_attention: Attention, clock: Clock) -> Any:
    """A VGA with a megabyte of RAM for its text."""
    memory = import_module("hyperport.memory.ram").GuestMemory(1 << 20)
    return import_module(f"{__name__}.vga").Vga(clock, memory)


def _vbe_dispi(attention: Attention, clock: Clock) -> Any:
    """The display interface of such a VGA."""
    return import_module(f"{__name__}.vbe_dispi").VbeDispi(_vga(attention, clock))


# Name of a chip with ports -> a factory (attention, clock) that gives one with all other wires in the air.
CHIPS: dict[str, Factory] = {
    "debug-exit": _chip("debug_exit", "DebugExit", "attention"),
    "debugcon": _chip("debugcon", "Debugcon"),
    "dma8237": _dma,
    "fdc82077": _floppies,
    "fpu-error": _chip("fpu_error", "FpuError"),
    "fw-cfg": _chip("fw_cfg", "FwCfg"),
    "i8042": _chip("i8042", "I8042"),
    "parallel-port": _chip("parallel_port", "ParallelPort"),
    "ide": _ide_channel,
    "ne2000": _chip("ne2000", "Ne2000", "clock"),
    "pci-host": _chip("pci_host", "PciHost"),
    "pic8259": _chip("pic8259", "Pic8259", "attention"),
    "pit8254": _chip("pit8254", "Pit8254", "clock", "irq"),
    "port92": _chip("port92", "Port92"),
    "post-code": _chip("post_code", "PostCode"),
    "power-off": _chip("power_off", "PowerOff"),
    "reset-cf9": _chip("reset_cf9", "ResetCf9"),
    "rtc146818": _chip("rtc146818", "Rtc146818", "clock"),
    "testdev": _chip("testdev", "TestDevice"),
    "uart16550": _chip("uart16550", "Uart16550"),
    "vbe-dispi": _vbe_dispi,
    "vga": _vga,
}

# The same for parts that have a state and wires, but no ports.
PARTS: dict[str, Factory] = {
    "a20-gate": _chip("a20_gate", "A20Gate"),
}
