# SPDX-License-Identifier: GPL-2.0-or-later
"""The device contract, plain Python side: a base class that is convenient, not required."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from hyperport.errors import ConfigError, StateError
from hyperport.lines.irq import IrqLine

if TYPE_CHECKING:
    from hyperport.lines.dma import DmaChannel
    from hyperport.memory.dma import DmaView
    from hyperport.memory.map import Region
    from hyperport.time.clock import Clock, Timer


class Device:
    """A device in plain Python: override read and write, and what else you need.

    Class attributes:
        span: number of consecutive ports. widths: access sizes in bytes that are taken whole, others are split;
            widths_at: the same for offsets where they differ.
        stateless: it keeps nothing that a guest can tell, so that it needs no save() and load().
        memory_span: bytes of device memory, a multiple of 4,096; memory_widths: as widths, for it.
        name: what port tables show; by default the class name in lower case.
    The constructor gets the settings of `--device FILE.py:Class,...,key=value` as keyword arguments, all str.
    Wires, set by the machine before reset():
        irq:    IrqLine: set(level), pulse(). Ends in the air if no irq was given.
        clock:  now_ns(): ns since power-on.
        timer:  arm_at(ns since power-on) -> on_timer(0); cancel().
        window: Region of its device memory, if it has any: base, mapped, map(), unmap().
        memory: DmaView: read(address, length), write(address, data), is_ram(address, length); guest-physical, checked.
        dma:    DmaChannel, if it was attached with dma=N: request(level); in on_dma() write(data) and read(count).
    All methods run on the vCPU's thread. An exception ends the run and comes out of Machine.run().
    """

    span: int = 1
    widths: tuple[int, ...] = (1,)
    widths_at: Mapping[int, tuple[int, ...]] = MappingProxyType({})
    stateless: bool = False
    irq: IrqLine
    clock: Clock
    timer: Timer
    memory_span: int = 0
    memory_widths: tuple[int, ...] = (1, 2, 4)
    memory: DmaView
    window: Region
    dma: DmaChannel

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

    def on_dma(self) -> None:
        """The DMA controller has granted what dma.request(True) asked for; outside of this no byte moves."""

    def reset(self) -> None:
        """Power-on."""

    def save(self) -> dict[str, Any]:
        """The state as a small named record: numbers, texts, bytes, None, and lists and dicts of them."""
        return {}

    def load(self, record: dict[str, Any]) -> None:
        """Take back what save() gave. Line and timer come back by themselves."""


WIRES: Final = ("irq", "clock", "timer", "memory", "dma")
DEEPEST: Final = 16  # lists and dicts within each other


def saved(name: str, device: Any) -> dict[str, Any]:
    """What the device's save() gives. Raises StateError where it has none, and keeps something."""
    if not _saves(device):
        if kept := _kept(device):
            raise StateError(
                f"{name}: it has no save() and load(), and keeps {', '.join(kept)}: add them, or say stateless = True "
                "if no guest can tell"
            )
        return {}
    record = _asked(name, "save", device.save)
    if not isinstance(record, dict):
        raise StateError(f"{name}: its save() gave a {type(record).__name__} and no dict")
    _require_plain(name, record, 0)
    return record


def check(name: str, device: Any, record: Any) -> None:
    """Raise StateError for a record that the device cannot take, as far as that can be told without changing it.

    A device may have a check(record) of its own, which raises for a wrong one.
    """
    if not isinstance(record, dict):
        raise StateError(f"{name}: field own is a {type(record).__name__} and no dict")
    _require_plain(name, record, 0)
    if not _saves(device):
        if record:
            raise StateError(f"{name}: the saved device kept {', '.join(map(str, record))}, and this one has no load()")
    elif callable(own := getattr(device, "check", None)):
        _asked(name, "check", own, record)


def load(name: str, device: Any, record: dict[str, Any]) -> None:
    """Give the device its record. Raises StateError, whatever it raised."""
    if _saves(device):
        _asked(name, "load", device.load, record)


def _saves(device: Any) -> bool:
    """Whether it has a save() and load() of its own."""
    return all(
        callable(getattr(device, word, None)) and getattr(type(device), word, None) is not getattr(Device, word)
        for word in ("save", "load")
    )


def _kept(device: Any) -> list[str]:
    """The attributes that a device without save() keeps besides its wires."""
    if getattr(device, "stateless", False):
        return []
    slots = [word for kind in type(device).__mro__ for word in getattr(kind, "__slots__", ())]
    return sorted({*getattr(device, "__dict__", ()), *(word for word in slots if hasattr(device, word))} - {*WIRES})


def _asked(name: str, what: str, method: Any, *given: Any) -> Any:
    try:
        return method(*given)
    except StateError:
        raise
    except Exception as error:
        raise StateError(f"{name}: its {what}() raised {type(error).__name__}: {error}") from error


def _require_plain(name: str, value: Any, depth: int) -> None:
    """Raise StateError for what no file could hold."""
    if depth > DEEPEST:
        raise StateError(f"{name}: its record has lists and dicts more than {DEEPEST} deep")
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise StateError(f"{name}: its record has the key {key!r}, which is no str")
            _require_text(name, key)
            _require_plain(name, item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _require_plain(name, item, depth + 1)
    elif isinstance(value, int):
        if not -(1 << 63) <= value < 1 << 64:
            raise StateError(f"{name}: its record holds a number of more than 64 bits")
    elif isinstance(value, str):
        _require_text(name, value)
    elif not isinstance(value, float | bytes | None):
        raise StateError(f"{name}: its record holds a {type(value).__name__}: give numbers, texts, bytes, lists, dicts")


def _require_text(name: str, text: str) -> None:
    """Raise StateError for what is no Unicode: half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise StateError(f"{name}: its record holds {text!r:.80}, which is no text") from None


def device_name(device: Any) -> str:
    """What a device is called: its name, else its class's in lower case."""
    return str(getattr(device, "name", None) or type(device).__name__.lower())


def check_place(device: Any, name: str, base: int | None, memory: int | None) -> int:
    """Whether a device can be put at port base and its memory at address memory; returns the bytes of its memory.

    Raises ConfigError where neither is given, or one of memory and a memory_span is missing.
    """
    span: int = getattr(device, "memory_span", 0)
    if base is None and memory is None:
        raise ConfigError(f"{name}: give it ports by base, or an address for its memory")
    if (memory is None) != (not span):
        said = f"memory of {span:#x} bytes: give it an address" if span else "no memory: leave the address out"
        raise ConfigError(f"{name} has {said} (memory=)")
    return span
