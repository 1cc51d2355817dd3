# SPDX-License-Identifier: GPL-2.0-or-later
"""The names that users may rely on. A change of these lists is a change of the API: it goes into the changelog too."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import pytest

import hyperport
import hyperport.testing
import pytest_hyperport

from .test_docs import DOCUMENTS

HYPERPORT = [
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
    "InsnClock",
    "Interrupted",
    "IrqLine",
    "Machine",
    "MachineConfig",
    "MemoryBackend",
    "NetSpec",
    "Outcome",
    "OutputError",
    "OutputLost",
    "PacketBackend",
    "Panic",
    "PassthroughSpec",
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
    "ThreadError",
    "Timeout",
    "TripleFault",
    "VirtualClock",
]
TESTING = [
    "ExpectError",
    "FuzzError",
    "FuzzResult",
    "GuestMachine",
    "Subject",
    "alone",
    "board",
    "fuzz",
    "link_program",
]
IMPORT = r"^\s*from (hyperport[\w.]*) import (?:\(([^)]*)\)|([\w, ]+))$"
FIXTURES = {"hyperport_compile", "hyperport_io", "hyperport_machine", "hyperport_play"}
MACHINE_FIELDS = [
    "abi",
    "append",
    "bios",
    "boot",
    "cdroms",
    "clock",
    "devices",
    "disks",
    "engine",
    "flat",
    "floppies",
    "image",
    "initrd",
    "io",
    "kernel",
    "kvm_coalesce",
    "kvm_irqchip",
    "memory",
    "modules",
    "net",
    "no_reboot",
    "passthrough",
    "reboot",
    "screen_on_serial",
    "testdev",
    "triple_fault",
    "vmi_calls",
]
MACHINE = [
    "attach",
    "attach_python",
    "close",
    "flush_output",
    "irq_line",
    "load",
    "load_devices",
    "named_devices",
    "on_tone",
    "panic_line",
    "reload",
    "request_stop",
    "reset",
    "restart_if_pulled",
    "restore",
    "run",
    "save",
    "save_devices",
    "stats",
    "type",
]
MACHINE_PARTS = [
    "attention",
    "board",
    "bus",
    "clock",
    "config",
    "controller",
    "cpu_s",
    "display",
    "drives",
    "engine",
    "events",
    "keys",
    "lines",
    "memory",
    "path",
    "timeout",
    "wall_s",
]


def test_names_of_hyperport() -> None:
    assert sorted(hyperport.__all__) == HYPERPORT
    for name in HYPERPORT:
        assert getattr(hyperport, name) is not None
    assert set(HYPERPORT) <= set(dir(hyperport))


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        getattr(hyperport, "nothing")  # noqa: B009 - mypy knows that it is not there


def test_type_checkers_see_the_same_names() -> None:
    source = inspect.getsource(hyperport)
    block = source.partition("if TYPE_CHECKING:\n")[2].partition("\n\n__version__")[0]
    told = set(re.findall(r"import (\w+) as \1$", block, re.M)) | set(re.findall(r"^    (\w+) = ", block, re.M))
    assert sorted(told) == HYPERPORT


def test_names_of_hyperport_testing() -> None:
    assert sorted(hyperport.testing.__all__) == TESTING
    for name in TESTING:
        assert getattr(hyperport.testing, name) is not None


def test_names_of_the_pytest_plugin() -> None:
    found = {name for name in vars(pytest_hyperport) if name.startswith("hyperport_")}
    assert found == FIXTURES
    assert callable(pytest_hyperport.MachineFactory)


def test_fields_of_a_machine_config() -> None:
    assert sorted(hyperport.MachineConfig.__dataclass_fields__) == MACHINE_FIELDS


def test_methods_and_parts_of_a_machine() -> None:
    assert sorted(name for name in vars(hyperport.Machine) if not name.startswith("_")) == MACHINE
    with hyperport.Machine(engine="scripted") as machine:
        assert set(MACHINE_PARTS) <= set(vars(machine))


def imports() -> list[tuple[str, str, str]]:
    """(document, module, name) of every import from hyperport in the documents."""
    found = []
    for path in DOCUMENTS:
        for module, many, one in re.findall(IMPORT, path.read_text(), re.M):
            found += [(path.name, module, name.strip()) for name in (many or one).split(",") if name.strip()]
    return sorted(set(found))


@pytest.mark.parametrize(("document", "module", "name"), imports())
def test_what_the_documents_import_is_there(document: str, module: str, name: str) -> None:
    assert hasattr(importlib.import_module(module), name) or importlib.import_module(f"{module}.{name}")


def test_documents_import_something() -> None:
    assert Path("testing.md").name in {document for document, _, _ in imports()}
