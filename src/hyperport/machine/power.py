# SPDX-License-Identifier: GPL-2.0-or-later
"""How a machine starts, from a kernel or by firmware, and how it starts again after a reset.

Two lines reset. The CPU's alone, which the keyboard controller, port 92h and a triple fault pull, leaves memory and
chips as they are, so that firmware finds the shutdown byte in CMOS 0Fh and what else it has left. RESET of the bus, by
port CF9h, brings all chips but the battery's to their power-on state, and the ROM below 1 MiB. RAM keeps its contents
in both. A kernel that was started directly has nobody who would start it again but us: any reset is a new start, of
empty memory. See docs/decisions/0044-resets.md.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from hyperport.boot import bios_state, loader
from hyperport.boot.firmware import Firmware, read_firmware
from hyperport.boot.image import recognise
from hyperport.cpu.cpuid import SIGNATURE
from hyperport.cpu.state import at_reset
from hyperport.errors import ConfigError
from hyperport.host.specs import parse_disk, parse_floppy
from hyperport.lines.attention import Pulled
from hyperport.machine.config import MachineConfig
from hyperport.machine.options import NO_BIOS, SEABIOS

if TYPE_CHECKING:
    from hyperport.cpu.state import CpuState
    from hyperport.machine.board import Board
    from hyperport.memory.ram import GuestMemory

COM1: Final = 0x3F8
ORDERS: Final = {"floppy": "acd", "disk": "cad", "cdrom": "dca"}  # an image's own drive first


def with_image(config: MachineConfig) -> MachineConfig:
    """The same, with the image in the drive that suits it, or as the kernel. Raises ImageError or ConfigError."""
    if config.image is None:
        return config
    if config.kernel is not None:
        raise ConfigError(f"image {config.image} and kernel {config.kernel}: give one of the two")
    given = {field.name: getattr(config, field.name) for field in fields(config)} | {"image": None}
    path = str(config.image)
    if config.flat is not None:
        return MachineConfig(**given | {"kernel": path})
    role = recognise(path.partition(",")[0]).role
    if role == "kernel":
        return MachineConfig(**given | {"kernel": path})
    if config.bios == NO_BIOS:
        raise ConfigError(f"image {path}: firmware starts it, and --bios none leaves it out")
    drives = {
        "floppy": lambda: {"floppies": (parse_floppy(path), *config.floppies)},
        "disk": lambda: {"disks": (parse_disk(path), *config.disks)},
        "cdrom": lambda: {"cdroms": (path, *config.cdroms)},
    }[role]()
    started = {"bios": config.bios or SEABIOS, "boot": config.boot or ORDERS[role]}
    return MachineConfig(**given | drives | started)


def firmware_of(config: MachineConfig) -> Firmware | None:
    """What starts this machine besides a kernel. Raises FetchError where SeaBIOS is not there, and HostErrors."""
    if config.bios in (None, NO_BIOS):
        for word, given in (("boot", config.boot), ("screen-on-serial", config.screen_on_serial)):
            if given:
                advice = "leave out --bios none" if config.bios == NO_BIOS else "add --bios seabios or an image"
                raise ConfigError(f"--{word} is for firmware, and there is none: {advice}")
        return None
    if config.kernel is not None:
        raise ConfigError(f"kernel {config.kernel}: it is started without firmware: leave out --bios, or give an image")
    from hyperport.guests.firmware import find, find_vga

    bios = find() if config.bios == SEABIOS else config.bios
    return read_firmware(bios, find_vga(), COM1 if config.screen_on_serial else 0)


def resets_go_on(config: MachineConfig) -> bool:
    """Whether the machine starts again when the guest resets it. Raises ConfigError."""
    if config.reboot and config.no_reboot:
        raise ConfigError("--reboot and --no-reboot: give one of the two")
    return config.reboot or (config.bios not in (None, NO_BIOS) and not config.no_reboot)


def load_kernel(config: MachineConfig, board: Board, memory: GuestMemory, subarch: int) -> CpuState:
    """Leave the PC as a BIOS does, and put the configured kernel into memory; the state of the vCPU at its entry.

    Raises ImageError.
    """
    bios_state.write_memory(memory, board.equipment())
    for chip, values in board.initial():
        bios_state.tell(chip, values)
    return loader.load(
        memory,
        config.kernel,
        initrd=config.initrd,
        append=config.append,
        modules=config.modules,
        flat=config.flat,
        subarch=subarch,
    )


def start_firmware(machine: Any, line: Pulled) -> None:
    """Let the firmware of a machine begin, as after that line was pulled."""
    if line == Pulled.BOARD:
        machine.firmware.copy(machine.memory)
    machine.board.parts["a20-gate"].reset()  # the reset vector has address line 20 high
    machine.engine.set_state(at_reset(edx=SIGNATURE))


def restart(machine: Any, line: Pulled) -> None:
    """Start a machine again that stands still between two instructions."""
    if line == Pulled.BOARD or machine.firmware is None:
        machine.board.bus_reset()
    if machine.firmware is None:
        machine.memory.clear()
        for base, data in machine.images:
            machine.memory.write(base, data)
    for service in machine.services:
        service.reset()
    if machine.firmware is not None:
        start_firmware(machine, line)
    else:
        machine.load()
