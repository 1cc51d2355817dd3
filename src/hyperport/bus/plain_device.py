# SPDX-License-Identifier: GPL-2.0-or-later
"""The device contract, plain Python side: a base class that is convenient, not required."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from hyperport.lines.irq import IrqLine

if TYPE_CHECKING:
    from hyperport.memory.dma import DmaView
    from hyperport.memory.map import Region
    from hyperport.time.clock import Clock, Timer


class Device:
    """A device in plain Python: override read and write, and what else you need.

    Class attributes:
        span: number of consecutive ports. widths: access sizes in bytes that are taken whole, others are split;
            widths_at: the same for offsets where they differ.
        memory_span: bytes of device memory, a multiple of 4,096; memory_widths: as widths, for it.
        name: what port tables show; by default the class name in lower case.
    The constructor gets the settings of `--device FILE.py:Class,...,key=value` as keyword arguments, all str.
    Wires, set by the machine before reset():
        irq:    IrqLine: set(level), pulse(). Ends in the air if no irq was given.
        clock:  now_ns(): ns since power-on.
        timer:  arm_at(ns since power-on) -> on_timer(0); cancel().
        window: Region of its device memory, if it has any: base, mapped, map(), unmap().
        memory: DmaView: read(address, length), write(address, data), is_ram(address, length); guest-physical, checked.
    All methods run on the vCPU's thread. An exception ends the run and comes out of Machine.run().
    """

    span: int = 1
    widths: tuple[int, ...] = (1,)
    widths_at: Mapping[int, tuple[int, ...]] = MappingProxyType({})
    irq: IrqLine
    clock: Clock
    timer: Timer
    memory_span: int = 0
    memory_widths: tuple[int, ...] = (1, 2, 4)
    memory: DmaView
    window: Region

    def read(self, offset: int, size: int) -> int:
        """One IN of size bytes at offset; the answer's bits above size are ignored."""
        return (1 << 8 * size) - 1

    def write(self, offset: int, size: int, value: int) -> None:
        """One OUT of size bytes at offset."""

    def memory_read(self, offset: int, size: int) -> int:
        """One load of size bytes at offset of the device's memory."""
        return (1 << 8 * size) - 1

    def memory_write(self, offset: int, size: int, value: int) -> None:
        """One store of size bytes at offset of the device's memory."""

    def on_timer(self, number: int) -> None:
        """The timer has reached its deadline."""

    def reset(self) -> None:
        """Power-on."""

    def save(self) -> dict[str, Any]:
        """The state as a small named record."""
        return {}

    def load(self, record: dict[str, Any]) -> None:
        """Take back what save() gave."""
