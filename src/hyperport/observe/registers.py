# SPDX-License-Identifier: GPL-2.0-or-later
"""What the ports of the board's chips are called, as their datasheets have it. For reports; nothing depends on it."""

from __future__ import annotations

from typing import Final

from hyperport.bus.access import Direction

Names = dict[int, tuple[str, str]]  # -> (when it is read, when it is written)


def _both(*names: str, first: int = 0) -> Names:
    return {first + number: (name, name) for number, name in enumerate(names)}


UART: Final = _both("RBR", "IER", "IIR", "LCR", "MCR", "LSR", "MSR", "SCR") | {0: ("RBR", "THR"), 2: ("IIR", "FCR")}
IDE: Final = _both("data", "error", "sector count", "LBA low", "LBA mid", "LBA high", "device", "status") | {
    1: ("error", "features"),
    7: ("status", "command"),
}
NE2000: Final = {0: ("CR", "CR"), 16: ("data", "data"), 31: ("reset", "reset")} | _both(
    *(f"register {n}" for n in range(1, 16)), first=1
)
BY_OFFSET: Final[dict[str, Names]] = {"uart16550": UART, "ne2000": NE2000}  # from a window's first port
BY_PORT: Final[Names] = (
    {base + port: names for base in (0x170, 0x1F0) for port, names in IDE.items()}
    | dict.fromkeys((0x376, 0x3F6), ("alternate status", "device control"))
    | _both("PIC 1 command", "PIC 1 mask", first=0x20)
    | _both("PIC 2 command", "PIC 2 mask", first=0xA0)
    | _both("PIC 1 edge/level", "PIC 2 edge/level", first=0x4D0)
    | _both("PIT counter 0", "PIT counter 1", "PIT counter 2", "PIT control", first=0x40)
    | {0x60: ("keyboard data", "keyboard data"), 0x64: ("8042 status", "8042 command")}
    | {0x61: ("port B", "port B"), 0x70: ("CMOS index", "CMOS index"), 0x71: ("CMOS data", "CMOS data")}
    | {0x80: ("POST code", "POST code"), 0xED: ("delay", "delay"), 0x92: ("port A", "port A")}
    | {0xE9: ("debug console", "debug console"), 0x402: ("debug console", "debug console")}
    | {0x3D4: ("CRTC index", "CRTC index"), 0x3D5: ("CRTC data", "CRTC data")}
    | {0x3B4: ("CRTC index", "CRTC index"), 0x3B5: ("CRTC data", "CRTC data")}
    | {0x3DA: ("input status 1", "feature control"), 0x3BA: ("input status 1", "feature control")}
    | {0x3C0: ("attribute index", "attribute"), 0x3C1: ("attribute data", "attribute data")}
    | {0x3C4: ("sequencer index", "sequencer index"), 0x3C5: ("sequencer data", "sequencer data")}
    | {0x3CE: ("graphics index", "graphics index"), 0x3CF: ("graphics data", "graphics data")}
    | {0x3C7: ("DAC state", "DAC read index"), 0x3C8: ("DAC index", "DAC index"), 0x3C9: ("DAC data", "DAC data")}
    | {0x3CC: ("misc output", "misc output"), 0x3C2: ("input status 0", "misc output")}
    | {0xCF8: ("PCI address", "PCI address"), 0xCF9: ("reset control", "reset control")}
    | _both(*["PCI data"] * 4, first=0xCFC)
    | {0xF0: ("x87 busy", "x87 busy"), 0xF4: ("debug exit", "debug exit"), 0x501: ("debug exit", "debug exit")}
    | {0x604: ("power off", "power off")}
)


def register(port: int, direction: Direction, device: str | None, first: int) -> str:
    """The name of the register behind port; "" where none is known. device: who has it, in a window from first on."""
    names = (
        BY_OFFSET[device].get(port - first) if device in BY_OFFSET else None if device is None else BY_PORT.get(port)
    )
    return "" if names is None else names[direction]
