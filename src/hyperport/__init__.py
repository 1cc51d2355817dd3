# SPDX-License-Identifier: GPL-2.0-or-later
"""hyperport: a virtual machine monitor for i386 guests that measures every port access.

from pathlib import Path
import hyperport

console = hyperport.MemoryBackend()
with hyperport.Machine(kernel=Path("kernel.elf"), serial=console) as machine:
    outcome = machine.run(timeout=10)
print(outcome, console.output())
"""

from hyperport.supported_host import unsupported

if _reason := unsupported():
    raise ImportError(_reason)

from hyperport.bus.access import Direction, PortAccess, PortCount
from hyperport.bus.device import PortDevice
from hyperport.bus.plain_device import Device
from hyperport.bus.port_bus import Path as AccessPath
from hyperport.bus.port_bus import PortBus
from hyperport.config import DeviceSpec, DiskSpec, MachineConfig, NetSpec
from hyperport.cpu.state import CpuState
from hyperport.errors import (
    AccessError,
    ConfigError,
    EngineError,
    FetchError,
    GuestError,
    HostError,
    HyperportError,
    ImageError,
    StateError,
)
from hyperport.host.char import CallbackBackend, CharBackend, FdBackend, MemoryBackend
from hyperport.host.packet import Hub, PacketBackend
from hyperport.lines.attention import StopKind
from hyperport.lines.irq import IrqLine
from hyperport.machine.machine import Machine
from hyperport.memory.ram import GuestMemory
from hyperport.outcome import (
    EngineAbort,
    GuestExit,
    GuestKilled,
    HaltedForever,
    Interrupted,
    Outcome,
    Panic,
    PowerOff,
    Quit,
    Reset,
    Timeout,
    TripleFault,
)
from hyperport.time.clock import RealClock, VirtualClock

__version__ = "0.1.0"

__all__ = [
    "AccessError",
    "AccessPath",
    "CallbackBackend",
    "CharBackend",
    "ConfigError",
    "CpuState",
    "Device",
    "DeviceSpec",
    "Direction",
    "DiskSpec",
    "EngineAbort",
    "EngineError",
    "FdBackend",
    "FetchError",
    "GuestError",
    "GuestExit",
    "GuestKilled",
    "GuestMemory",
    "HaltedForever",
    "HostError",
    "Hub",
    "HyperportError",
    "ImageError",
    "Interrupted",
    "IrqLine",
    "Machine",
    "MachineConfig",
    "MemoryBackend",
    "NetSpec",
    "Outcome",
    "PacketBackend",
    "Panic",
    "PortAccess",
    "PortBus",
    "PortCount",
    "PortDevice",
    "PowerOff",
    "Quit",
    "RealClock",
    "Reset",
    "StateError",
    "StopKind",
    "Timeout",
    "TripleFault",
    "VirtualClock",
]
