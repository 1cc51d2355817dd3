# SPDX-License-Identifier: GPL-2.0-or-later
"""hyperport: a virtual machine monitor for i386 guests that measures every port access.

import hyperport

console = hyperport.MemoryBackend()
with hyperport.Machine(kernel="kernel.elf", serial=console) as machine:
    outcome = machine.run(timeout=10)
print(outcome, console.output())

Each name is imported when it is first used: the command line's help needs none of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hyperport import renamed
from hyperport.supported_host import unsupported

if TYPE_CHECKING:
    from hyperport.bus.access import Direction as Direction
    from hyperport.bus.access import PortAccess as PortAccess
    from hyperport.bus.access import PortCount as PortCount
    from hyperport.bus.device import PortDevice as PortDevice
    from hyperport.bus.plain_device import Device as Device
    from hyperport.bus.port_bus import Path as _Path
    from hyperport.bus.port_bus import PortBus as PortBus
    from hyperport.cpu.state import CpuState as CpuState
    from hyperport.errors import AccessError as AccessError
    from hyperport.errors import ConfigError as ConfigError
    from hyperport.errors import EngineError as EngineError
    from hyperport.errors import FetchError as FetchError
    from hyperport.errors import GuestError as GuestError
    from hyperport.errors import HostError as HostError
    from hyperport.errors import HyperportError as HyperportError
    from hyperport.errors import ImageError as ImageError
    from hyperport.errors import OutputError as OutputError
    from hyperport.errors import StateError as StateError
    from hyperport.errors import ThreadError as ThreadError
    from hyperport.host.char import CallbackBackend as CallbackBackend
    from hyperport.host.char import CharBackend as CharBackend
    from hyperport.host.char import FdBackend as FdBackend
    from hyperport.host.char import MemoryBackend as MemoryBackend
    from hyperport.host.packet import Hub as Hub
    from hyperport.host.packet import PacketBackend as PacketBackend
    from hyperport.host.specs import DiskSpec as DiskSpec
    from hyperport.host.specs import NetSpec as NetSpec
    from hyperport.host.specs import PassthroughSpec as PassthroughSpec
    from hyperport.lines.attention import StopKind as StopKind
    from hyperport.lines.irq import IrqLine as IrqLine
    from hyperport.machine.config import MachineConfig as MachineConfig
    from hyperport.machine.machine import Machine as Machine
    from hyperport.machine.plugins import DeviceSpec as DeviceSpec
    from hyperport.memory.ram import GuestMemory as GuestMemory
    from hyperport.outcome import EngineAbort as EngineAbort
    from hyperport.outcome import GuestExit as GuestExit
    from hyperport.outcome import GuestKilled as GuestKilled
    from hyperport.outcome import HaltedForever as HaltedForever
    from hyperport.outcome import Interrupted as Interrupted
    from hyperport.outcome import Outcome as Outcome
    from hyperport.outcome import OutputLost as OutputLost
    from hyperport.outcome import Panic as Panic
    from hyperport.outcome import PowerOff as PowerOff
    from hyperport.outcome import Quit as Quit
    from hyperport.outcome import Reset as Reset
    from hyperport.outcome import Timeout as Timeout
    from hyperport.outcome import TripleFault as TripleFault
    from hyperport.time.clock import RealClock as RealClock
    from hyperport.time.clock import VirtualClock as VirtualClock
    from hyperport.time.insn_clock import InsnClock as InsnClock

    AccessPath = _Path

__version__ = "0.1.0"

_HOMES = {  # public name -> where it is, as "module" or "module:name there"
    "AccessError": "errors",
    "AccessPath": "bus.port_bus:Path",
    "CallbackBackend": "host.char",
    "CharBackend": "host.char",
    "ConfigError": "errors",
    "CpuState": "cpu.state",
    "Device": "bus.plain_device",
    "DeviceSpec": "machine.plugins",
    "Direction": "bus.access",
    "DiskSpec": "host.specs",
    "EngineAbort": "outcome",
    "EngineError": "errors",
    "FdBackend": "host.char",
    "FetchError": "errors",
    "GuestError": "errors",
    "GuestExit": "outcome",
    "GuestKilled": "outcome",
    "GuestMemory": "memory.ram",
    "HaltedForever": "outcome",
    "HostError": "errors",
    "Hub": "host.packet",
    "HyperportError": "errors",
    "ImageError": "errors",
    "InsnClock": "time.insn_clock",
    "Interrupted": "outcome",
    "IrqLine": "lines.irq",
    "Machine": "machine.machine",
    "MachineConfig": "machine.config",
    "MemoryBackend": "host.char",
    "NetSpec": "host.specs",
    "Outcome": "outcome",
    "PacketBackend": "host.packet",
    "OutputError": "errors",
    "OutputLost": "outcome",
    "Panic": "outcome",
    "PortAccess": "bus.access",
    "PortBus": "bus.port_bus",
    "PortCount": "bus.access",
    "PortDevice": "bus.device",
    "PassthroughSpec": "host.specs",
    "PowerOff": "outcome",
    "Quit": "outcome",
    "RealClock": "time.clock",
    "Reset": "outcome",
    "StateError": "errors",
    "StopKind": "lines.attention",
    "ThreadError": "errors",
    "Timeout": "outcome",
    "TripleFault": "outcome",
    "VirtualClock": "time.clock",
}

__all__ = list(_HOMES)

renamed.install()


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if reason := unsupported():
        raise ImportError(reason)
    module, _, other = _HOMES[name].partition(":")
    value = globals()[name] = getattr(import_module(f"{__name__}.{module}"), other or name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
