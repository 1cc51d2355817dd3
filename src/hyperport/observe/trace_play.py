# SPDX-License-Identifier: GPL-2.0-or-later
"""Gives a recorded conversation to a device, without any CPU: a regression test of a device model.

Every recorded write is made again, and every recorded read must give what it gave then. Time is the trace's: a virtual
clock is moved to the moment of each access, so timers of the device fire as they did. What a device hears from
elsewhere (host input, memory, the interrupt controller's acknowledge cycle) is not in a trace: see docs/trace.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hyperport.bus.access import Direction, Space
from hyperport.bus.device import PortDevice
from hyperport.bus.plain_device import check_place, device_name
from hyperport.bus.port_bus import PortBus
from hyperport.bus.python_device import PythonDevice
from hyperport.errors import DifferenceError
from hyperport.lines.attention import Attention, StopKind
from hyperport.lines.irq import IrqLine
from hyperport.memory.dma import DmaView
from hyperport.memory.ram import GuestMemory
from hyperport.observe.trace_decode import TracedAccess
from hyperport.time.clock import Timer, VirtualClock

MEMORY: Final = 1 << 20  # what a device of its own finds behind `memory`; nothing of a guest is in it
KEPT: Final = 100  # mismatches


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A read that gave something else than it was recorded with. element: its number within a string."""

    access: TracedAccess
    element: int
    recorded: int
    played: int

    def __str__(self) -> str:
        digits = 2 * self.access.size
        within = f", element {self.element}" if self.access.count > 1 else ""
        port = f"in {self.access.port:04x}" if self.access.space == Space.PORT else f"ld {self.access.port:08x}"
        return (
            f"access {self.access.number}{within}: {port} gave {self.played:0{digits}x}, "
            f"and {self.recorded:0{digits}x} when it was recorded"
        )


@dataclass(slots=True)
class Played:
    """What came of it: accesses and reads that were made, the first KEPT mismatches, and how many there were."""

    accesses: int
    reads: int
    mismatches: list[Mismatch]
    different: int

    def check(self) -> None:
        """Raise DifferenceError, which names the first mismatch, if there is one."""
        if self.different:
            raise DifferenceError(f"{self.different} of {self.reads} reads differ: {self.mismatches[0]}")


class Bench:
    """A bus with one device at port base, its memory at address memory, and its surroundings.

    irq: the line that a plain device drives.
    """

    def __init__(self, device: Any, base: int | None, *, memory: int | None = None, wall_ns: int = 0) -> None:
        self.bus, self.clock, self.attention = PortBus(), VirtualClock(wall_ns), Attention()
        self.irq, ram = IrqLine(), GuestMemory(MEMORY)
        check_place(device, device_name(device), base, memory)
        if base is not None:
            self.bus.attach(device, base)
        window = None if memory is None else self.bus.attach_memory(ram.map, device, memory)
        attached = self.bus.adapter(device)
        if isinstance(attached, PythonDevice):
            attached.connect(self.attention, base, window=window)
            if window is not None:
                device.window = window
            device.irq, device.clock = self.irq, self.clock
            device.timer = Timer(self.clock, attached, 0)
            device.memory = DmaView(ram)
        attached.reset()
        self.ports = [range(low, high + 1) for low, high, _ in self.bus.map()]


def play(
    accesses: Iterable[TracedAccess],
    bus: PortBus,
    clock: VirtualClock | None = None,
    *,
    ports: Sequence[range] | None = None,
    attention: Attention | None = None,
) -> Played:
    """Make the accesses again on bus. Raises what a plain device raises.

    ports: only those that begin there, or in a window of device memory that the bus has; None: all.
    clock: moved to the moment of each access; None: the devices' time is their own. attention: what a device stops.
    """
    result = Played(0, 0, [], 0)
    for access in accesses:
        if ports is not None and not _is_meant(access, bus, ports):
            continue
        if clock is not None and access.ns > clock.now_ns():
            clock.advance(access.ns - clock.now_ns())
        result.accesses += 1
        if access.direction == Direction.OUT:
            _write(bus, access)
        else:
            result.reads += 1
            _compare(access, _read(bus, access), result)
        if attention is not None:
            kind, _, failure, _ = attention.take_stop()
            if kind == StopKind.DEVICE_ERROR and failure is not None:
                raise failure
    return result


def _is_meant(access: TracedAccess, bus: PortBus, ports: Sequence[range]) -> bool:
    if access.space == Space.PORT:
        return any(access.port in span for span in ports)
    return any(low <= access.port <= high for low, high, _ in bus.memory_map())  # a device may move its window


def _write(bus: PortBus, access: TracedAccess) -> None:
    if access.space == Space.MEMORY:
        bus.store(access.port, access.size, access.value)
    elif access.count == 1:
        bus.outp(access.port, access.size, access.value, int(access.path))
    else:
        bus.outp_block(access.port, access.size, access.data, int(access.path))


def _read(bus: PortBus, access: TracedAccess) -> bytes:
    if access.space == Space.MEMORY:
        return bus.load(access.port, access.size).to_bytes(access.size, "little")
    if access.count == 1:
        return bus.inp(access.port, access.size, int(access.path)).to_bytes(access.size, "little")
    return bus.inp_block(access.port, access.size, access.count, int(access.path))


def _compare(access: TracedAccess, got: bytes, result: Played) -> None:
    if got == access.data:
        return
    result.different += 1
    if len(result.mismatches) == KEPT:
        return
    size = access.size
    for element in range(access.count):
        here = slice(element * size, element * size + size)
        if got[here] != access.data[here]:
            recorded, played = (int.from_bytes(data[here], "little") for data in (access.data, got))
            result.mismatches.append(Mismatch(access, element, recorded, played))
            return


def play_device(
    accesses: Iterable[TracedAccess],
    device: Any,
    base: int | None,
    *,
    memory: int | None = None,
    wall_ns: int = 0,
) -> Played:
    """play() for one device, plain Python or compiled; what went to its ports and to its memory is given to it.

    base, memory: as of Machine.attach(), which also says what ConfigError is raised for.
    """
    bench = Bench(device, base, memory=memory, wall_ns=wall_ns)
    clock = None if isinstance(device, PortDevice) else bench.clock  # a compiled chip has been given its clock
    return play(accesses, bench.bus, clock, ports=bench.ports, attention=bench.attention)
